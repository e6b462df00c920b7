// Package telemetry keeps what happened on this node: the records of
// invocations and the lines that functions wrote, in one SQLite database.
//
// Writing never blocks an invocation: [Store.Line] and [Store.Record] put into a
// bounded queue and, when it is full, drop and count. [Store.Run] writes the
// queue in batches, at most [flushInterval] after the first entry, so that a
// crash loses no more than that. A query first writes what is queued, so that
// whoever asks after a call finds all of it.
package telemetry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // registers the database driver

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
)

// Config is how a store keeps things.
type Config struct {
	// Dir is the directory of the database.
	Dir string
	// Retention is how long records and lines are kept.
	Retention time.Duration
	// MaxBytes bounds the database: beyond it the oldest entries go first.
	MaxBytes int64
	Log      *slog.Logger
}

const (
	queueLength = 32768
	// queueBytes bounds the text of the lines in the queue: a line may have 256 KiB.
	queueBytes    = 64 << 20
	flushInterval = 100 * time.Millisecond
	flushEntries  = 4096
	sweepInterval = time.Minute
)

// Line is one line of a function's log.
type Line struct {
	// Cursor orders lines on this node; zero until the line is stored.
	Cursor      int64
	Time        time.Time
	Namespace   string
	Function    string
	RequestID   string
	Environment string
	// Stream is stdout, stderr or platform.
	Stream string
	Text   string
}

// entry is a line or a record on its way to the disk.
type entry struct {
	line   Line
	record *invocation.Record
}

// Store keeps records and lines. It is safe for concurrent use.
type Store struct {
	cfg     Config
	log     *slog.Logger
	db      *sql.DB
	queue   chan entry
	size    atomic.Int64 // of the text in queue, in bytes
	dropped atomic.Int64

	writing sync.Mutex // held while the queue is written
	mu      sync.Mutex
	flushed chan struct{} // closed and replaced at each commit
}

const schema = `
CREATE TABLE IF NOT EXISTS lines (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	time INTEGER NOT NULL,
	namespace TEXT NOT NULL,
	function TEXT NOT NULL,
	request_id TEXT NOT NULL,
	environment TEXT NOT NULL,
	stream TEXT NOT NULL,
	text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS lines_function ON lines (namespace, function, id);
CREATE INDEX IF NOT EXISTS lines_request ON lines (request_id);
CREATE TABLE IF NOT EXISTS records (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	time INTEGER NOT NULL,
	namespace TEXT NOT NULL,
	function TEXT NOT NULL,
	request_id TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS records_function ON records (namespace, function, id);
CREATE INDEX IF NOT EXISTS records_request ON records (request_id);
`

// uriPath writes a path as SQLite's file: URIs want it.
var uriPath = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23")

// Open opens or makes the database in cfg.Dir. Nothing is written until
// [Store.Run] runs.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	path := filepath.Join(cfg.Dir, "telemetry.db")
	dsn := "file:" + uriPath.Replace(path) + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" +
		"&_pragma=busy_timeout(5000)&_pragma=auto_vacuum(INCREMENTAL)&_txlock=immediate"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(4)
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fault.Wrap(err, fault.Unavailable, "TelemetryStore",
			"the records in %s can't be opened: check free space and rights, or move the file away to start a new one", path), db.Close())
	}
	return &Store{
		cfg: cfg, log: cfg.Log, db: db,
		queue:   make(chan entry, queueLength),
		flushed: make(chan struct{}),
	}, nil
}

// Line queues a line. It never blocks.
func (s *Store) Line(l Line) { s.put(entry{line: l}) }

// Record queues the record of a call. It never blocks; r must not change after.
func (s *Store) Record(r *invocation.Record) { s.put(entry{record: r}) }

func (s *Store) put(e entry) {
	size := int64(len(e.line.Text))
	if s.size.Add(size) <= queueBytes {
		select {
		case s.queue <- e:
			return
		default:
		}
	}
	s.size.Add(-size)
	s.dropped.Add(1)
}

// Dropped counts the entries that were lost because the queue was full.
func (s *Store) Dropped() int64 { return s.dropped.Load() }

// Queued counts the entries that wait to be written.
func (s *Store) Queued() int { return len(s.queue) }

// Run writes what is queued until ctx is done, then writes the rest and closes
// the database.
func (s *Store) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.db.Close()) }()
	flush := time.NewTicker(flushInterval)
	defer flush.Stop()
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			s.flush(ctx)
			return nil
		case <-flush.C:
			s.flush(ctx)
		case now := <-sweep.C:
			if err := s.sweep(ctx, now); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "old records could not be removed", "err", err)
			}
		}
	}
}

// flush writes what is queued when it begins, in transactions of bounded size.
// It outlives ctx: what left the queue would be lost with a transaction that is
// given up.
func (s *Store) flush(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	s.writing.Lock()
	defer s.writing.Unlock()
	for left := len(s.queue); left > 0; {
		n, err := s.writeBatch(ctx)
		left -= n
		if err != nil {
			s.dropped.Add(int64(n))
			s.log.ErrorContext(ctx, "records and log lines could not be written", "entries", n, "err", err)
			return
		}
	}
}

func (s *Store) writeBatch(ctx context.Context) (n int, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	lines := newInserter(tx, "lines", "time", "namespace", "function", "request_id", "environment", "stream", "text")
	records := newInserter(tx, "records", "time", "namespace", "function", "request_id", "body")
	for ; n < flushEntries && err == nil; n++ {
		var e entry
		select {
		case e = <-s.queue:
		default:
			return n, s.commit(ctx, tx, lines, records)
		}
		if e.record != nil {
			err = insertRecord(ctx, records, e.record)
		} else {
			l := e.line
			s.size.Add(-int64(len(l.Text)))
			err = lines.add(ctx, l.Time.UnixNano(), l.Namespace, l.Function, l.RequestID, l.Environment, l.Stream, l.Text)
		}
	}
	if err != nil {
		return n, err
	}
	return n, s.commit(ctx, tx, lines, records)
}

func insertRecord(ctx context.Context, records *inserter, r *invocation.Record) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record %s: %w", r.RequestID, err)
	}
	return records.add(ctx, r.Received.UnixNano(), r.Namespace, r.Function, r.RequestID, string(body))
}

func (s *Store) commit(ctx context.Context, tx *sql.Tx, rows ...*inserter) error {
	for _, r := range rows {
		if err := r.finish(ctx); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.flushed)
	s.flushed = make(chan struct{})
	return nil
}

// nextFlush returns a channel that is closed at the next commit.
func (s *Store) nextFlush() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushed
}

// sweep removes what is older than the retention and, if the database is still
// too large, the oldest tenth of it.
func (s *Store) sweep(ctx context.Context, now time.Time) error {
	if s.cfg.Retention > 0 {
		cut := now.Add(-s.cfg.Retention).UnixNano()
		for _, stmt := range []string{`DELETE FROM lines WHERE time < ?`, `DELETE FROM records WHERE time < ?`} {
			if _, err := s.db.ExecContext(ctx, stmt, cut); err != nil {
				return err
			}
		}
	}
	var pages, free, size int64
	row := s.db.QueryRowContext(ctx, `SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size`)
	if err := row.Scan(&pages, &free, &size); err != nil {
		return err
	}
	if s.cfg.MaxBytes > 0 && (pages-free)*size > s.cfg.MaxBytes {
		for _, stmt := range []string{
			`DELETE FROM lines WHERE id <= (SELECT min(id) + (max(id) - min(id)) / 10 FROM lines)`,
			`DELETE FROM records WHERE id <= (SELECT min(id) + (max(id) - min(id)) / 10 FROM records)`,
		} {
			if _, err := s.db.ExecContext(ctx, stmt); err != nil {
				return err
			}
		}
	}
	_, err := s.db.ExecContext(ctx, `PRAGMA incremental_vacuum`)
	return err
}
