// Package catalog knows the functions and their code packages. They are kept
// on the engine; reads come from memory, where every node holds all functions,
// and never wait. Writes are compared and swapped on the engine, and return
// when they are durable and this node's reads show them. It leaves running
// functions to others.
//
// All methods are safe for concurrent use. The functions that reads return are
// shared: nobody changes them. Locks are taken in the order custody (of one
// code package), then any of the small ones, of which no two are held at once.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mayfly.dev/mayfly/internal/archive"
	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// The names of what the catalog keeps on the engine.
const (
	functionsBucket = "functions"
	codeObjects     = "code"
)

const (
	// defaultGrace is long enough for the slowest client to upload code and
	// then create the function that uses it.
	defaultGrace = time.Hour
	// defaultSweep is how often unused code is looked for.
	defaultSweep = 10 * time.Minute
)

// Config says where the catalog keeps what it has.
type Config struct {
	// Engine keeps the functions and the code packages.
	Engine *engine.Engine
	// Dir is the catalog's own directory, in which each code package is
	// unpacked in a directory named by its digest; it is made if it is missing.
	Dir string
	// Grace is how long a code package is kept that no function uses; 0: one
	// hour. Unpacked code is kept longer by the function's timeout, for the
	// invocations that still run it.
	Grace time.Duration
	// Sweep is the time between two looks for unused code; 0: ten minutes.
	Sweep time.Duration
	// Log takes deployments and what went wrong in the background; nil
	// discards it.
	Log *slog.Logger
}

// Catalog is the open catalog of a node. It is made by [Open] and ended by
// [Catalog.Close]; [Catalog.Run] does its work in the background.
type Catalog struct {
	bucket  *engine.Bucket
	objects *engine.Objects
	codeDir string
	grace   time.Duration
	sweep   time.Duration
	log     *slog.Logger

	view    *view
	queue   *queue
	custody *custody

	watchers  sync.Mutex // guards changes to listeners
	listeners atomic.Pointer[[]func(before, after *function.Function)]

	stop    context.CancelFunc
	stopped chan struct{} // closed when the view follows no more
}

// Open reads all functions. It fails with Unavailable/"StoreCorrupt" when the
// engine can't read one.
func Open(ctx context.Context, cfg Config) (*Catalog, error) {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Catalog{
		codeDir: cfg.Dir, log: log,
		grace: orDefault(cfg.Grace, defaultGrace), sweep: orDefault(cfg.Sweep, defaultSweep),
		view: newView(), queue: newQueue(), custody: newCustody(), stopped: make(chan struct{}),
	}
	c.listeners.Store(&[]func(before, after *function.Function){})
	if err := c.prepareDir(); err != nil {
		return nil, err
	}
	var err error
	if c.bucket, err = cfg.Engine.Bucket(ctx, functionsBucket); err != nil {
		return nil, fmt.Errorf("open the functions: %w", err)
	}
	if c.objects, err = cfg.Engine.Objects(ctx, codeObjects); err != nil {
		return nil, fmt.Errorf("open the code packages: %w", err)
	}
	if err := c.load(ctx); err != nil {
		return nil, fmt.Errorf("read the functions: %w", err)
	}
	return c, nil
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}

// prepareDir makes the directory of unpacked code and clears it of what an
// earlier process had not finished.
func (c *Catalog) prepareDir() error {
	if err := os.MkdirAll(c.codeDir, 0o700); err != nil {
		return fault.Wrap(err, fault.Denied, "DataDirDenied", "the directory %s can't be written: run as its owner, or choose another data directory", c.codeDir)
	}
	left, err := filepath.Glob(filepath.Join(c.codeDir, archive.TemporaryPrefix+"*"))
	if err != nil {
		return fmt.Errorf("clear %s: %w", c.codeDir, err)
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("clear %s: %w", c.codeDir, err)
		}
	}
	return nil
}

// load fills the view and starts to follow the changes from there on.
func (c *Catalog) load(ctx context.Context) error {
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	changes, err := c.bucket.Watch(watch)
	if err != nil {
		stop()
		return err
	}
	for {
		select {
		case <-ctx.Done():
			stop()
			return context.Cause(ctx)
		case change, ok := <-changes:
			if !ok || change.Err != nil {
				stop()
				return errors.Join(change.Err, errClosed(!ok))
			}
			if !change.CaughtUp {
				c.apply(change)
				continue
			}
		}
		c.stop = stop
		go c.follow(changes) // Close waits for it
		return nil
	}
}

// Close stops following the engine. It comes after Run has returned and before
// the engine is closed.
func (c *Catalog) Close() error {
	c.stop()
	<-c.stopped
	return nil
}

// Function returns a function from memory, or NotFound/"FunctionNotFound".
func (c *Catalog) Function(namespace, name string) (*function.Function, error) {
	if f := c.view.function(key{namespace, name}); f != nil {
		return f, nil
	}
	return nil, notFound(name)
}

// Functions lists up to limit functions of a namespace whose names come after
// the given one, sorted by name; more tells whether there are others.
func (c *Catalog) Functions(namespace, after string, limit int) (fs []*function.Function, more bool) {
	return c.view.page(namespace, after, limit)
}

// FunctionByURL returns the function whose URL has that id, or
// NotFound/"FunctionURLNotFound".
func (c *Catalog) FunctionByURL(id string) (*function.Function, error) {
	if f := c.view.functionByURL(id); f != nil {
		return f, nil
	}
	return nil, fault.New(fault.NotFound, "FunctionURLNotFound", "no function has this URL")
}

// Settled waits until a function is neither being created nor updated, and
// returns it. It fails with NotFound/"FunctionNotFound" when the function is
// deleted meanwhile.
func (c *Catalog) Settled(ctx context.Context, namespace, name string) (*function.Function, error) {
	var f *function.Function
	err := c.await(ctx, func() bool {
		f = c.view.function(key{namespace, name})
		return f == nil || !unsettled(f)
	})
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, notFound(name)
	}
	return f, nil
}

// OnChange has changed called after every change of a function, in order:
// before is nil for a new function, after is nil for a deleted one. It must not
// block: writes wait for it.
func (c *Catalog) OnChange(changed func(before, after *function.Function)) {
	c.watchers.Lock()
	defer c.watchers.Unlock()
	was := *c.listeners.Load()
	all := append(slices.Clip(was), changed)
	c.listeners.Store(&all)
}

func notFound(name string) error {
	return fault.New(fault.NotFound, "FunctionNotFound", "there is no function %s", name)
}

func errClosed(closed bool) error {
	if !closed {
		return nil
	}
	return fault.New(fault.Unavailable, "CatalogClosed", "the node is shutting down: try again on another or after its restart")
}
