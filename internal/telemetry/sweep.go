package telemetry

import (
	"context"
	"fmt"
	"time"
)

// sweep removes what is older than the retention and, if the database is still
// too large, the oldest tenth of it.
func (s *Store) sweep(ctx context.Context, now time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	// The chunk that grows might be removed, and must not come back with its next
	// entry; and cursors must not begin again when all has gone.
	s.writer.head = nil
	if err := s.saveProgress(ctx, s.writer.next); err != nil {
		return err
	}
	removed, err := s.expire(ctx, now)
	if err != nil {
		return err
	}
	var pages, free, size int64
	row := s.db.QueryRowContext(ctx, `SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size`)
	if err := row.Scan(&pages, &free, &size); err != nil {
		return err
	}
	if s.cfg.MaxBytes > 0 && (pages-free)*size > s.cfg.MaxBytes {
		n, err := s.shrink(ctx)
		if err != nil {
			return err
		}
		removed += n
	}
	if removed > 0 {
		if _, err := s.db.ExecContext(ctx, `DELETE FROM chunk_functions WHERE chunk NOT IN (SELECT id FROM chunks)`); err != nil {
			return err
		}
	}
	_, err = s.db.ExecContext(ctx, `PRAGMA incremental_vacuum`)
	return err
}

// expire removes what is older than the retention. It returns how many rows went.
func (s *Store) expire(ctx context.Context, now time.Time) (removed int64, err error) {
	if s.cfg.Retention <= 0 {
		return 0, nil
	}
	cut := now.Add(-s.cfg.Retention).UnixNano()
	if s.earlier != nil {
		for _, stmt := range []string{`DELETE FROM lines WHERE time < ?`, `DELETE FROM records WHERE time < ?`} {
			if _, err := s.remove(ctx, stmt, cut); err != nil {
				return 0, err
			}
		}
	}
	return s.remove(ctx, `DELETE FROM chunks WHERE newest < ?`, cut)
}

// shrink removes the oldest tenth of the oldest tables that have something. It
// returns how many rows went.
func (s *Store) shrink(ctx context.Context) (removed int64, err error) {
	const tenth = `DELETE FROM %[1]s WHERE id <= (SELECT min(id) + (max(id) - min(id)) / 10 FROM %[1]s)`
	if s.earlier != nil {
		for _, table := range []string{"lines", "records"} {
			n, err := s.remove(ctx, fmt.Sprintf(tenth, table))
			if err != nil {
				return 0, err
			}
			removed += n
		}
	}
	if removed > 0 {
		return removed, nil
	}
	return s.remove(ctx, fmt.Sprintf(tenth, "chunks"))
}

func (s *Store) remove(ctx context.Context, stmt string, args ...any) (removed int64, err error) {
	res, err := s.db.ExecContext(ctx, stmt, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
