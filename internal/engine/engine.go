// Package engine is the durable store that everything stateful of the platform
// stands on: NATS JetStream, embedded in this process and reached without a
// socket. It leaves to its users what their keys, values and objects mean, and
// lets no type of NATS through.
//
// What a call acknowledged is on the disk: every write is synced before it
// returns, so that a killed process or a power cut loses nothing that a user
// was told is kept. All methods are safe for concurrent use.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mayfly.dev/mayfly/internal/fault"
)

const (
	// MaxValueBytes bounds one value of a bucket.
	MaxValueBytes = 4 << 20
	// maxPayloadBytes is the server's bound for one message: a value or a
	// chunk of an object, and its headers.
	maxPayloadBytes = 8 << 20
	// maxMemoryBytes bounds streams held in memory; ours are all on disk.
	maxMemoryBytes = 64 << 20
	// callTimeout bounds a call whose context has no deadline. A busy disk may
	// take seconds to sync.
	callTimeout = 30 * time.Second
	// startTimeout bounds recovery of the store at start.
	startTimeout = 2 * time.Minute
)

// Config says where the engine keeps its data.
type Config struct {
	// Dir is the engine's own directory; it is made if it is missing. One
	// engine at a time may use it.
	Dir string
	// Log takes what the store has to say; nil discards it.
	Log *slog.Logger
}

// Engine is a running embedded store. It is made by [Start] and ended by
// [Engine.Close].
type Engine struct {
	dir  string
	log  *slog.Logger
	lock *os.File
	srv  *server.Server
	conn *nats.Conn
	js   jetstream.JetStream

	// done ends the watches; watches counts them; stall is their patience.
	done    chan struct{}
	stall   time.Duration
	watches sync.WaitGroup

	// mu guards closed, marks, buckets and objects.
	mu      sync.Mutex
	closed  bool
	marks   marks
	buckets map[string]*Bucket
	objects map[string]*Objects
}

// Start opens the store in cfg.Dir, recovering what an earlier process left
// behind. Its faults are Conflict/"DataDirInUse" when another process has the
// directory, Denied/"DataDirDenied", Unavailable/"DiskFull" and
// Unavailable/"StoreCorrupt".
func Start(ctx context.Context, cfg Config) (*Engine, error) {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the engine's directory %s: %w", cfg.Dir, err)
	}
	lock, err := claim(dir)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		dir: dir, log: log, lock: lock, done: make(chan struct{}), stall: replayStall, marks: marks{},
		buckets: map[string]*Bucket{}, objects: map[string]*Objects{},
	}
	if err := e.start(ctx); err != nil {
		return nil, errors.Join(err, e.Close()) //nolint:contextcheck // closing has to work when ctx is done
	}
	return e, nil
}

func (e *Engine) start(ctx context.Context) error {
	if err := e.marks.load(e.dir); err != nil {
		return err
	}
	capacity, err := diskCapacity(e.dir)
	if err != nil {
		return fmt.Errorf("measure the disk of %s: %w", e.dir, err)
	}
	srv, err := server.NewServer(&server.Options{
		ServerName:         "mayfly",
		DontListen:         true,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           e.dir,
		SyncAlways:         true,
		MaxPayload:         maxPayloadBytes,
		JetStreamMaxMemory: maxMemoryBytes,
		// The store may grow to the size of its disk; what keeps it from
		// filling that disk is room, which looks at the space that is left.
		JetStreamMaxStore: capacity,
	})
	if err != nil {
		return fmt.Errorf("configure the embedded store: %w", err)
	}
	e.srv = srv
	logs := &serverLog{log: e.log}
	srv.SetLoggerV2(logs, false, false, false)
	srv.Start()
	if err := logs.fatal(); err != nil {
		return startFault(e.dir, err)
	}
	if !srv.ReadyForConnections(remaining(ctx, startTimeout)) {
		return startFault(e.dir, errors.New("the embedded store is not ready in time"))
	}
	return e.connect()
}

func (e *Engine) connect() error {
	conn, err := nats.Connect("", nats.InProcessServer(e.srv), nats.Name("mayfly"),
		nats.MaxReconnects(-1), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			e.log.Warn("engine connection", slog.Any("err", err))
		}))
	if err != nil {
		return fmt.Errorf("connect to the embedded store: %w", err)
	}
	e.conn = conn
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(callTimeout))
	if err != nil {
		return fmt.Errorf("use the embedded store: %w", err)
	}
	e.js = js
	return nil
}

// Close ends the watches, flushes the store and waits until it is down.
// Closing twice is harmless; every later call fails with
// Unavailable/"EngineClosed".
func (e *Engine) Close() error {
	e.mu.Lock()
	first := !e.closed
	e.closed = true
	e.mu.Unlock()
	if !first {
		return nil
	}
	close(e.done)
	e.watches.Wait()
	var err error
	if e.conn != nil {
		err = e.mark()
		e.conn.Close()
	}
	if e.srv != nil {
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
	}
	return errors.Join(err, release(e.lock))
}

// Dir is the directory that the engine keeps its data in.
func (e *Engine) Dir() string { return e.dir }

// streamDir is where the store keeps the stream of that name.
func (e *Engine) streamDir(stream string) string {
	return filepath.Join(e.dir, "jetstream", "$G", "streams", stream)
}

// openStream runs open, which makes the stream unless the store has it, and
// sees that the stream has all that it is known to have had. A stream that is
// on the disk, but that the store could not recover, is not silently replaced
// by an empty one. The caller holds mu.
func (e *Engine) openStream(ctx context.Context, stream string, open func() error) error {
	_, err := e.js.Stream(ctx, stream)
	if err == nil {
		if err := open(); err != nil {
			return err
		}
		return e.checkMark(ctx, stream)
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return e.fault(err, "open %s", stream)
	}
	if _, err := os.Stat(filepath.Join(e.streamDir(stream), "meta.inf")); err == nil || e.marks[stream] > 0 {
		return corrupt(e.streamDir(stream), errors.New("its description is missing or can't be read"))
	}
	if err := e.room(0, writeReserve); err != nil {
		return err
	}
	if err := open(); err != nil {
		return err
	}
	return e.syncDirs(stream)
}

// syncDirs makes the directories of a new stream durable: the store syncs the
// files in them, and not their names in the parents.
func (e *Engine) syncDirs(stream string) error {
	for dir := e.streamDir(stream); ; dir = filepath.Dir(dir) {
		if err := syncDir(dir); err != nil {
			return e.fault(err, "sync %s", dir)
		}
		if dir == e.dir {
			return nil
		}
	}
}

// alive fails when the engine is closed; the caller holds mu.
func (e *Engine) alive() error {
	if e.closed {
		return fault.New(fault.Unavailable, "EngineClosed", "the node is shutting down: try again on another or after its restart")
	}
	return nil
}

// remaining is the time until ctx's deadline, at most most.
func remaining(ctx context.Context, most time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(time.Until(deadline), most)
	}
	return most
}
