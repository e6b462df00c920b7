package telemetry

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// earlier reads what was stored before there were chunks: a row for each line,
// those of the platform among them, and one with JSON for each record. Nothing is
// added to it, and it goes with the retention. A nil earlier is empty.
type earlier struct{ db *sql.DB }

// openEarlier finds those tables, nil if there are none, and returns the last cursor
// that they gave.
func openEarlier(ctx context.Context, db *sql.DB) (e *earlier, last int64, err error) {
	var tables int
	const exists = `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('lines', 'records')`
	if err := db.QueryRowContext(ctx, exists).Scan(&tables); err != nil || tables < 2 {
		return nil, 0, err
	}
	const sequence = `SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name IN ('lines', 'records')`
	err = db.QueryRowContext(ctx, sequence).Scan(&last)
	return &earlier{db: db}, last, err
}

// drop removes the tables if nothing is left in them. It reports whether it did.
func (e *earlier) drop(ctx context.Context) (dropped bool, err error) {
	var used bool
	const filled = `SELECT EXISTS (SELECT 1 FROM lines) OR EXISTS (SELECT 1 FROM records)`
	if err := e.db.QueryRowContext(ctx, filled).Scan(&used); err != nil || used {
		return false, err
	}
	_, err = e.db.ExecContext(ctx, `DROP TABLE lines; DROP TABLE records`)
	return err == nil, err
}

func (e *earlier) lines(ctx context.Context, q LogQuery) ([]Line, error) {
	if e == nil {
		return nil, nil
	}
	var c conditions
	c.add(q.Namespace != "", "namespace = ?", q.Namespace)
	c.add(q.Function != "", "function = ?", q.Function)
	c.add(q.RequestID != "", "request_id = ?", q.RequestID)
	c.add(!q.Since.IsZero(), "time >= ?", q.Since.UnixNano())
	c.add(!q.Until.IsZero(), "time < ?", q.Until.UnixNano())
	c.add(q.After > 0, "id > ?", q.After)
	where, args := c.clause()
	order := "ASC"
	if q.Newest {
		order = "DESC"
	}
	//nolint:gosec // where and order are made of constants of this file
	query := `SELECT id, time, namespace, function, request_id, environment, stream, text FROM lines ` +
		where + ` ORDER BY id ` + order + ` LIMIT ?`
	rows, err := e.db.QueryContext(ctx, query, append(args, q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("query earlier logs: %w", err)
	}
	defer rows.Close()
	var lines []Line
	for rows.Next() {
		var l Line
		var nanos int64
		if err := rows.Scan(&l.Cursor, &nanos, &l.Namespace, &l.Function, &l.RequestID, &l.Environment, &l.Stream, &l.Text); err != nil {
			return nil, fmt.Errorf("read earlier logs: %w", err)
		}
		l.Time = time.Unix(0, nanos).UTC()
		lines = append(lines, l)
	}
	if q.Newest {
		slices.Reverse(lines)
	}
	return lines, rows.Err()
}

func (e *earlier) records(ctx context.Context, q RecordQuery) ([]StoredRecord, error) {
	if e == nil {
		return nil, nil
	}
	var c conditions
	c.add(q.Namespace != "", "namespace = ?", q.Namespace)
	c.add(q.Function != "", "function = ?", q.Function)
	c.add(true, "id < ?", q.Before)
	return e.read(ctx, c, q.Limit)
}

// record returns the record of one call; nil: there is none.
func (e *earlier) record(ctx context.Context, requestID string) (*StoredRecord, error) {
	if e == nil {
		return nil, nil
	}
	var c conditions
	c.add(true, "request_id = ?", requestID)
	records, err := e.read(ctx, c, 1)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	return &records[0], nil
}

// read returns records, newest first.
func (e *earlier) read(ctx context.Context, c conditions, limit int) ([]StoredRecord, error) {
	where, args := c.clause()
	//nolint:gosec // where is made of constants of this file
	rows, err := e.db.QueryContext(ctx, `SELECT id, body FROM records `+where+` ORDER BY id DESC LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("query earlier records: %w", err)
	}
	defer rows.Close()
	var records []StoredRecord
	for rows.Next() {
		var r StoredRecord
		var body []byte
		if err := rows.Scan(&r.Cursor, &body); err != nil {
			return nil, fmt.Errorf("read earlier records: %w", err)
		}
		if err := json.Unmarshal(body, &r.Record); err != nil {
			return nil, fmt.Errorf("decode record %d: %w", r.Cursor, err)
		}
		records = append(records, r)
	}
	return records, rows.Err()
}
