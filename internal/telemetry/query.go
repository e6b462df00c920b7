package telemetry

import (
	"context"
	"slices"
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
	// in the order of cursors either way.
	Newest bool
}

func (q *LogQuery) selection() *selection {
	return &selection{
		namespace: q.Namespace, function: q.Function, requestID: q.RequestID,
		since: q.Since, until: q.Until, after: q.After, newest: q.Newest,
	}
}

// selects reports whether a line of a wanted function is in the answer.
func (q *LogQuery) selects(l *Line) bool {
	return l.Cursor > q.After && (q.RequestID == "" || q.RequestID == l.RequestID) &&
		(q.Since.IsZero() || !l.Time.Before(q.Since)) && (q.Until.IsZero() || l.Time.Before(q.Until))
}

// Logs returns the lines that q selects, oldest first. A call's END and REPORT are
// there when it has ended, and so is its START unless user code wrote something
// before: START then stands before that.
func (s *Store) Logs(ctx context.Context, q LogQuery) ([]Line, error) {
	s.flush(ctx)
	return s.stored(ctx, q)
}

// stored returns the lines that q selects among those on the disk.
func (s *Store) stored(ctx context.Context, q LogQuery) ([]Line, error) {
	q.Limit = limit(q.Limit)
	if q.Newest {
		return s.newestLines(ctx, q)
	}
	lines, err := s.earlier.lines(ctx, q)
	if err != nil || len(lines) == q.Limit {
		return lines, err
	}
	err = s.scan(ctx, q.selection(), func(entries []stored) bool {
		for _, e := range entries {
			for _, l := range e.lines() {
				if !q.selects(&l) {
					continue
				}
				if lines = append(lines, l); len(lines) == q.Limit {
					return false
				}
			}
		}
		return true
	})
	return lines, err
}

func (s *Store) newestLines(ctx context.Context, q LogQuery) ([]Line, error) {
	var lines []Line // newest first
	err := s.scan(ctx, q.selection(), func(entries []stored) bool {
		for _, e := range entries {
			for _, l := range slices.Backward(e.lines()) {
				if !q.selects(&l) {
					continue
				}
				if lines = append(lines, l); len(lines) == q.Limit {
					return false
				}
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	slices.Reverse(lines)
	if q.Limit -= len(lines); q.Limit == 0 {
		return lines, nil
	}
	before, err := s.earlier.lines(ctx, q)
	return append(before, lines...), err
}

// Follow calls fn for the lines that q selects and then for each new one, until
// ctx is done or fn fails. Limit and Newest choose how many earlier lines come
// first; a negative Limit: none.
func (s *Store) Follow(ctx context.Context, q LogQuery, fn func(Line) error) error {
	s.flush(ctx)
	if q.Limit < 0 {
		q.After, q.Limit = max(q.After, s.last.Load()), 0
	}
	for {
		next, last := s.nextFlush(), s.last.Load()
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
			q.After = max(q.After, last) // all up to there has been looked at
			q.Newest, q.Limit = false, 0
			select {
			case <-next:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
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
	q.Limit = limit(q.Limit)
	if q.Before <= 0 {
		q.Before = endless
	}
	var records []StoredRecord
	selected := &selection{namespace: q.Namespace, function: q.Function, before: q.Before, newest: true}
	err := s.scan(ctx, selected, func(entries []stored) bool {
		for _, e := range entries {
			if e.record != nil && e.record.Cursor < q.Before {
				records = append(records, *e.record)
			}
			if len(records) == q.Limit {
				return false
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if q.Limit -= len(records); q.Limit == 0 {
		return records, nil
	}
	before, err := s.earlier.records(ctx, q)
	return append(records, before...), err
}

// RecordOf returns the record of one call.
func (s *Store) RecordOf(ctx context.Context, requestID string) (invocation.Record, error) {
	s.flush(ctx)
	var found *StoredRecord
	err := s.scan(ctx, &selection{requestID: requestID, newest: true}, func(entries []stored) bool {
		for _, e := range entries {
			if e.record != nil && e.record.RequestID == requestID {
				found = e.record
				return false
			}
		}
		return true
	})
	if err == nil && found == nil {
		found, err = s.earlier.record(ctx, requestID)
	}
	if err != nil {
		return invocation.Record{}, err
	}
	if found == nil {
		return invocation.Record{}, fault.New(fault.NotFound, "InvocationNotFound", "there is no record of the invocation %s", requestID)
	}
	return found.Record, nil
}
