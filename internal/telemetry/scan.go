package telemetry

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// selection chooses chunks; empty fields choose all. It may choose too many: the
// entries have to be looked at.
type selection struct {
	namespace, function, requestID string
	since, until                   time.Time
	// after and before are cursors of entries, exclusive; a before of 0: no end.
	after, before int64
	newest        bool // newest first
}

// wanted reports whether an entry of that scope is chosen.
func (q *selection) wanted(namespace, function string) bool {
	return (q.namespace == "" || q.namespace == namespace) && (q.function == "" || q.function == function)
}

// query returns the statement that finds the chunks.
func (q *selection) query() (text string, args []any) {
	var c conditions
	from, id := "chunks c", "c.id"
	if q.namespace != "" && q.function != "" {
		from, id = "chunk_functions f CROSS JOIN chunks c ON c.id = f.chunk", "f.chunk"
		c.add(true, "f.namespace = ?", q.namespace)
		c.add(true, "f.function = ?", q.function)
	}
	c.add(q.after > 0, id+" >= coalesce((SELECT max(id) FROM chunks WHERE id <= ?), 0)", q.after+1)
	c.add(q.before > 0, id+" < ?", q.before)
	c.add(!q.since.IsZero(), "c.newest >= ?", q.since.UnixNano())
	c.add(!q.until.IsZero(), "c.oldest < ?", q.until.UnixNano())
	c.add(q.requestID != "", "instr(c.requests, ?) > 0", requestMark(q.requestID))
	where, args := c.clause()
	order := " ASC"
	if q.newest {
		order = " DESC"
	}
	return "SELECT c.id, c.body FROM " + from + " " + where + " ORDER BY " + id + order, args
}

// scan calls fn with the entries of each chunk, in order or newest first, until
// fn returns false.
func (s *Store) scan(ctx context.Context, q *selection, fn func(entries []stored) (more bool)) error {
	query, args := q.query()
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("query chunks: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		d := decoder{wanted: q.wanted}
		if err := rows.Scan(&d.cursor, &d.buf); err != nil {
			return fmt.Errorf("read chunks: %w", err)
		}
		first := d.cursor
		entries, err := d.entries()
		if err != nil {
			return fmt.Errorf("read chunk %d: %w", first, err)
		}
		if q.newest {
			slices.Reverse(entries)
		}
		if !fn(entries) {
			return nil
		}
	}
	return rows.Err()
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
	default:
		return min(n, MaxLimit)
	}
}

// endless is a cursor behind all others.
const endless = math.MaxInt64
