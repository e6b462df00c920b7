package catalog

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

const (
	// preparers is how many functions are prepared at once.
	preparers = 4
	// retryDelay is the pause after a preparation whose end could not be
	// written down.
	retryDelay = 5 * time.Second
)

// Run prepares the code of created and updated functions, and removes code
// that is not used any more, until ctx is done; it returns the cause of that.
// What an earlier process had not prepared is prepared as well.
func (c *Catalog) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range preparers {
		group.Go(func() error { return c.prepareAll(ctx) })
	}
	group.Go(func() error { return c.sweepAll(ctx) })
	return group.Wait()
}

func (c *Catalog) prepareAll(ctx context.Context) error {
	for {
		k, err := c.queue.take(ctx)
		if err != nil {
			return err
		}
		if err := c.prepare(ctx, k); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "function not prepared yet", slog.String("namespace", k.namespace), slog.String("function", k.name), slog.Any("err", err))
			if err := pause(ctx, retryDelay); err != nil {
				return err
			}
			c.queue.add(k)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// prepare unpacks the code that a function waits for and writes down how that
// ended. An error says that nothing could be written.
func (c *Catalog) prepare(ctx context.Context, k key) error {
	for range maxAttempts {
		f, revision, err := c.read(ctx, k)
		if fault.Is(err, fault.NotFound, "FunctionNotFound") {
			return nil
		}
		if err != nil {
			return err
		}
		if !unsettled(f) {
			return nil
		}
		_, failure := c.CodeDir(ctx, f.Newest().Code.SHA256)
		if ctx.Err() != nil || fault.Is(failure, fault.Unavailable, "EngineClosed") || fault.Is(failure, fault.Timeout, "") {
			return failure // a later attempt, or the next start of the node, may succeed
		}
		c.settle(ctx, f, failure)
		err = c.replace(ctx, k, f, revision)
		if !fault.Is(err, fault.Conflict, "StaleRevision") {
			return err
		}
	}
	return busy(k.name)
}

// settle ends the preparation of f.
func (c *Catalog) settle(ctx context.Context, f *function.Function, failure error) {
	attrs := []any{slog.String("namespace", f.Namespace), slog.String("function", f.Name), slog.String("revision", f.Newest().Revision)}
	if failure != nil {
		c.log.WarnContext(ctx, "function failed to prepare", append(attrs, slog.Any("err", failure))...)
	} else {
		c.log.InfoContext(ctx, "function ready", attrs...)
	}
	switch {
	case failure != nil && f.Next != nil:
		f.Next, f.UpdateFailure = nil, reason(failure)
	case failure != nil:
		f.State, f.StateReason = function.Failed, reason(failure)
	default:
		if f.Next != nil {
			f.Latest, f.Next = *f.Next, nil
		}
		f.State, f.StateReason, f.UpdateFailure = function.Active, "", ""
	}
}

// reason is the sentence that a user reads about a failed preparation.
func reason(err error) string {
	return "the code could not be prepared: " + fault.From(err).Detail
}

// queue holds the functions that wait to be prepared, each once.
type queue struct {
	mu     sync.Mutex // guards order and queued
	order  []key
	queued map[key]bool
	// filled has a token in it while there may be something to take.
	filled chan struct{}
}

func newQueue() *queue {
	return &queue{queued: map[key]bool{}, filled: make(chan struct{}, 1)}
}

func (q *queue) add(k key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.queued[k] {
		q.queued[k] = true
		q.order = append(q.order, k)
	}
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// take waits for a function that is to be prepared.
func (q *queue) take(ctx context.Context) (key, error) {
	for {
		if k, ok := q.pop(); ok {
			return k, nil
		}
		select {
		case <-q.filled:
		case <-ctx.Done():
			return key{}, context.Cause(ctx)
		}
	}
}

func (q *queue) pop() (key, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		return key{}, false
	}
	k := q.order[0]
	q.order = q.order[1:]
	delete(q.queued, k)
	if len(q.order) > 0 {
		q.signal() // for the next worker
	}
	return k, true
}
