package telemetry

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// writer writes chunks through one connection of its own, so that its statements
// are prepared once. It is not safe for concurrent use.
type writer struct {
	conn                    *sql.Conn
	begin, commit, rollback *sql.Stmt
	put, index              *sql.Stmt
	head                    *chunk // that grows; nil: the next entry opens one
	next                    int64  // the cursor of the next entry
}

func newWriter(ctx context.Context, db *sql.DB, next int64) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn, next: next}
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&w.begin, `BEGIN IMMEDIATE`},
		{&w.commit, `COMMIT`},
		{&w.rollback, `ROLLBACK`},
		{&w.put, `INSERT INTO chunks (id, next, oldest, newest, requests, body) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET next = excluded.next, oldest = excluded.oldest, newest = excluded.newest,
			requests = excluded.requests, body = excluded.body`},
		{&w.index, `INSERT INTO chunk_functions (namespace, function, chunk) VALUES (?, ?, ?)`},
	} {
		//nolint:sqlclosecheck // close closes them
		if *s.to, err = conn.PrepareContext(ctx, s.text); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

// close frees the connection, and the statements with it.
func (w *writer) close() error {
	var err error
	for _, s := range []*sql.Stmt{w.begin, w.commit, w.rollback, w.put, w.index} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return errors.Join(err, w.conn.Close())
}

// write stores a batch of entries in one transaction. After an error none of them
// is stored.
func (w *writer) write(ctx context.Context, batch []entry, now time.Time) (err error) {
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, again := w.rollback.ExecContext(ctx)
			err = errors.Join(err, again)
			w.head = nil // has entries that are not stored
		}
	}()
	for _, e := range batch {
		if w.head != nil && w.head.full(now) {
			if err := w.store(ctx); err != nil {
				return err
			}
			w.head.reset(w.next, now)
		}
		if w.head == nil {
			w.head = newChunk(w.next, now)
		}
		if e.record != nil {
			w.head.addRecord(e.record)
		} else {
			w.head.addLine(e.line)
		}
		w.next = w.head.next
	}
	if err := w.store(ctx); err != nil {
		return err
	}
	_, err = w.commit.ExecContext(ctx)
	return err
}

// store writes the head as it is now.
func (w *writer) store(ctx context.Context) error {
	c := w.head
	if _, err := w.put.ExecContext(ctx, c.first, c.next, c.oldest, c.newest, c.requests, c.body); err != nil {
		return err
	}
	for _, s := range c.fresh {
		if _, err := w.index.ExecContext(ctx, s.namespace, s.function, c.first); err != nil {
			return err
		}
	}
	c.fresh = c.fresh[:0]
	return nil
}
