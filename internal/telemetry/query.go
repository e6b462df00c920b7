package telemetry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
)

// MaxLimit bounds the rows of one answer.
const MaxLimit = 10000

// LogQuery selects lines of logs; empty fields select all.
type LogQuery struct {
	Namespace, Function, RequestID string
	Since, Until                   time.Time
	// After is the cursor of the last line that the caller has.
	After int64
	// Limit bounds the answer; 0 means 1,000; at most [MaxLimit].
	Limit int
	// Newest selects the last Limit lines instead of the first. The answer is
	// in order of time either way.
	Newest bool
}

// Logs returns the lines that q selects, oldest first.
func (s *Store) Logs(ctx context.Context, q LogQuery) ([]Line, error) {
	s.flush(ctx)
	return s.stored(ctx, q)
}

// stored returns the lines that q selects among those on the disk.
func (s *Store) stored(ctx context.Context, q LogQuery) ([]Line, error) {
	where, args := q.where()
	order := "ASC"
	if q.Newest {
		order = "DESC"
	}
	//nolint:gosec // where and order are made of constants of this file
	query := `SELECT id, time, namespace, function, request_id, environment, stream, text FROM lines ` +
		where + ` ORDER BY id ` + order + ` LIMIT ?`
	rows, err := s.db.QueryContext(ctx, query, append(args, limit(q.Limit))...)
	if err != nil {
		return nil, fmt.Errorf("query logs: %w", err)
	}
	defer rows.Close()
	var lines []Line
	for rows.Next() {
		var l Line
		var nanos int64
		if err := rows.Scan(&l.Cursor, &nanos, &l.Namespace, &l.Function, &l.RequestID, &l.Environment, &l.Stream, &l.Text); err != nil {
			return nil, fmt.Errorf("read logs: %w", err)
		}
		l.Time = time.Unix(0, nanos).UTC()
		lines = append(lines, l)
	}
	if q.Newest {
		slices.Reverse(lines)
	}
	return lines, rows.Err()
}

func (q LogQuery) where() (clause string, args []any) {
	var c conditions
	c.add(q.Namespace != "", "namespace = ?", q.Namespace)
	c.add(q.Function != "", "function = ?", q.Function)
	c.add(q.RequestID != "", "request_id = ?", q.RequestID)
	c.add(!q.Since.IsZero(), "time >= ?", q.Since.UnixNano())
	c.add(!q.Until.IsZero(), "time < ?", q.Until.UnixNano())
	c.add(q.After > 0, "id > ?", q.After)
	return c.clause()
}

// Follow calls fn for the lines that q selects and then for each new one, until
// ctx is done or fn fails. Limit and Newest choose how many earlier lines come
// first; a negative Limit: none.
func (s *Store) Follow(ctx context.Context, q LogQuery, fn func(Line) error) error {
	s.flush(ctx)
	if q.Limit < 0 {
		last, err := s.lastLine(ctx)
		if err != nil {
			return err
		}
		q.After, q.Limit = max(q.After, last), 0
	}
	for {
		next := s.nextFlush()
		lines, err := s.stored(ctx, q)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if err := fn(l); err != nil {
				return err
			}
			q.After = l.Cursor
		}
		full := len(lines) == limit(q.Limit)
		if q.Newest || !full {
			q.Newest, q.Limit = false, 0
			select {
			case <-next:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

func (s *Store) lastLine(ctx context.Context) (int64, error) {
	var id sql.NullInt64
	err := s.db.QueryRowContext(ctx, `SELECT max(id) FROM lines`).Scan(&id)
	return id.Int64, err
}

// RecordQuery selects records; empty fields select all.
type RecordQuery struct {
	Namespace, Function string
	// Before is the cursor of the oldest record that the caller has; 0: start
	// with the newest.
	Before int64
	// Limit bounds the answer; 0 means 1,000; at most [MaxLimit].
	Limit int
}

// StoredRecord is a record with its place in the order of this node.
type StoredRecord struct {
	Cursor int64
	invocation.Record
}

// Records returns the records that q selects, newest first.
func (s *Store) Records(ctx context.Context, q RecordQuery) ([]StoredRecord, error) {
	s.flush(ctx)
	var c conditions
	c.add(q.Namespace != "", "namespace = ?", q.Namespace)
	c.add(q.Function != "", "function = ?", q.Function)
	c.add(q.Before > 0, "id < ?", q.Before)
	where, args := c.clause()
	//nolint:gosec // where is made of constants of this file
	query := `SELECT id, body FROM records ` + where + ` ORDER BY id DESC LIMIT ?`
	rows, err := s.db.QueryContext(ctx, query, append(args, limit(q.Limit))...)
	if err != nil {
		return nil, fmt.Errorf("query records: %w", err)
	}
	defer rows.Close()
	var records []StoredRecord
	for rows.Next() {
		var r StoredRecord
		var body string
		if err := rows.Scan(&r.Cursor, &body); err != nil {
			return nil, fmt.Errorf("read records: %w", err)
		}
		if err := json.Unmarshal([]byte(body), &r.Record); err != nil {
			return nil, fmt.Errorf("decode record %d: %w", r.Cursor, err)
		}
		records = append(records, r)
	}
	return records, rows.Err()
}

// RecordOf returns the record of one call.
func (s *Store) RecordOf(ctx context.Context, requestID string) (invocation.Record, error) {
	s.flush(ctx)
	var r invocation.Record
	var body string
	err := s.db.QueryRowContext(ctx, `SELECT body FROM records WHERE request_id = ? ORDER BY id DESC LIMIT 1`, requestID).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fault.New(fault.NotFound, "InvocationNotFound", "there is no record of the invocation %s", requestID)
	}
	if err != nil {
		return r, fmt.Errorf("query record %s: %w", requestID, err)
	}
	return r, json.Unmarshal([]byte(body), &r)
}

// conditions gathers the terms of a WHERE clause.
type conditions struct {
	terms []string
	args  []any
}

func (c *conditions) add(wanted bool, term string, arg any) {
	if wanted {
		c.terms = append(c.terms, term)
		c.args = append(c.args, arg)
	}
}

func (c *conditions) clause() (where string, args []any) {
	if len(c.terms) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(c.terms, " AND "), c.args
}

func limit(n int) int {
	switch {
	case n <= 0:
		return 1000
	case n > MaxLimit:
		return MaxLimit
	default:
		return n
	}
}
