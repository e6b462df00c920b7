// Package telemetry keeps what happened on this node: the records of
// invocations and the lines that functions wrote, in one SQLite database.
//
// A call leaves one entry, its record, and one for each line that user code wrote.
// START, END and REPORT are worded from the record when a log is read. Entries are
// stored many to a row, as chunks, because a row each costs ten times as much.
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
	line   *Line
	record *invocation.Record
}

// Store keeps records and lines. It is safe for concurrent use.
type Store struct {
	cfg     Config
	log     *slog.Logger
	db      *sql.DB
	earlier *earlier
	queue   chan entry
	size    atomic.Int64 // of the text in queue, in bytes
	dropped atomic.Int64
	last    atomic.Int64 // the last cursor that was stored

	writing sync.Mutex // held while the queue is written; before mu
	writer  *writer    // guarded by writing
	batch   []entry    // likewise

	mu      sync.Mutex
	flushed chan struct{} // closed and replaced at each commit
}

// The column requests stands before body, so that looking for a request reads no
// more of a chunk than that. progress has the next cursor, for when the chunks
// that tell it have been removed.
const schema = `
CREATE TABLE IF NOT EXISTS chunks (
	id INTEGER PRIMARY KEY,
	next INTEGER NOT NULL,
	oldest INTEGER NOT NULL,
	newest INTEGER NOT NULL,
	requests BLOB NOT NULL,
	body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS chunk_functions (
	namespace TEXT NOT NULL,
	function TEXT NOT NULL,
	chunk INTEGER NOT NULL,
	PRIMARY KEY (namespace, function, chunk)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (
	id INTEGER PRIMARY KEY CHECK (id = 0),
	next INTEGER NOT NULL
);
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
	s := &Store{
		cfg: cfg, log: cfg.Log, db: db,
		queue:   make(chan entry, queueLength),
		flushed: make(chan struct{}),
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fault.Wrap(err, fault.Unavailable, "TelemetryStore",
			"the records in %s can't be opened: check free space and rights, or move the file away to start a new one", path), db.Close())
	}
	return s, nil
}

// prepare makes the tables and finds where to go on.
func (s *Store) prepare(ctx context.Context) error {
	if _, err := s.db.ExecContext(ctx, schema); err != nil {
		return err
	}
	before, last, err := openEarlier(ctx, s.db)
	if err != nil {
		return err
	}
	var next int64
	const query = `SELECT max(coalesce((SELECT max(next) FROM chunks), 1), coalesce((SELECT next FROM progress), 1))`
	if err := s.db.QueryRowContext(ctx, query).Scan(&next); err != nil {
		return err
	}
	next = max(next, last+1)
	if before != nil {
		if err := s.saveProgress(ctx, next); err != nil {
			return err
		}
		if dropped, err := before.drop(ctx); err != nil {
			return err
		} else if !dropped {
			s.earlier = before
		}
	}
	s.last.Store(next - 1)
	s.writer, err = newWriter(ctx, s.db, next)
	return err
}

// saveProgress stores the next cursor.
func (s *Store) saveProgress(ctx context.Context, next int64) error {
	_, err := s.db.ExecContext(ctx, `INSERT OR REPLACE INTO progress (id, next) VALUES (0, ?)`, next)
	return err
}

// Line queues a line. It never blocks.
func (s *Store) Line(l Line) { s.put(entry{line: &l}, int64(len(l.Text))) }

// Record queues the record of a call. It never blocks; r must not change after.
func (s *Store) Record(r *invocation.Record) { s.put(entry{record: r}, 0) }

func (s *Store) put(e entry, size int64) {
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
	defer func() { err = errors.Join(err, s.writer.close(), s.db.Close()) }()
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
		batch := s.takeBatch()
		left -= len(batch)
		err := s.writer.write(ctx, batch, time.Now())
		clear(batch) // a large line is not kept until the next
		if err != nil {
			s.dropped.Add(int64(len(batch)))
			s.log.ErrorContext(ctx, "records and log lines could not be written", "entries", len(batch), "err", err)
			return
		}
		s.committed()
	}
}

// takeBatch takes what is queued, at most flushEntries, out of the queue. The
// slice is good until the next call.
func (s *Store) takeBatch() []entry {
	s.batch = s.batch[:0]
	for len(s.batch) < flushEntries {
		select {
		case e := <-s.queue:
			if e.line != nil {
				s.size.Add(-int64(len(e.line.Text)))
			}
			s.batch = append(s.batch, e)
		default:
			return s.batch
		}
	}
	return s.batch
}

// committed tells followers of new lines.
func (s *Store) committed() {
	s.last.Store(s.writer.next - 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.flushed)
	s.flushed = make(chan struct{})
}

// nextFlush returns a channel that is closed at the next commit.
func (s *Store) nextFlush() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushed
}
