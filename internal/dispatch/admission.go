package dispatch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// retryAfter is what a throttled caller is told to wait.
const retryAfter = time.Second

// admission counts the calls of the node and of each function and refuses those
// beyond a limit. A call costs two atomic additions and no shared lock.
type admission struct {
	max      int64
	inFlight atomic.Int64
	draining atomic.Bool
	running  sync.Map // of functionKey to *atomic.Int64
}

type functionKey struct{ namespace, name string }

// enter admits a call of f or says why not. leave is called at the call's end.
func (a *admission) enter(f *function.Function) (leave func(), err error) {
	if a.draining.Load() {
		return nil, fault.New(fault.Unavailable, "Draining", "the node is stopping: try again in a moment")
	}
	if n := a.inFlight.Add(1); n > a.max {
		a.inFlight.Add(-1)
		return nil, &fault.Error{
			Kind: fault.Throttled, Reason: "NodeConcurrency", RetryAfter: retryAfter,
			Detail: fmt.Sprintf("this node runs %d invocations, its limit: try again in a moment or raise the node's setting max_concurrency", a.max),
		}
	}
	running := a.counter(f)
	if n := running.Add(1); f.ReservedConcurrency != nil && n > int64(*f.ReservedConcurrency) {
		running.Add(-1)
		a.inFlight.Add(-1)
		return nil, &fault.Error{
			Kind: fault.Throttled, Reason: "ReservedConcurrency", RetryAfter: retryAfter,
			Detail: fmt.Sprintf("the function %s is at its reserved concurrency of %d", f.Name, *f.ReservedConcurrency),
		}
	}
	return func() {
		running.Add(-1)
		a.inFlight.Add(-1)
	}, nil
}

func (a *admission) counter(f *function.Function) *atomic.Int64 {
	k := functionKey{f.Namespace, f.Name}
	if c, ok := a.running.Load(k); ok {
		return c.(*atomic.Int64)
	}
	c, _ := a.running.LoadOrStore(k, new(atomic.Int64))
	return c.(*atomic.Int64)
}

func (a *admission) forget(namespace, name string) { a.running.Delete(functionKey{namespace, name}) }

// drain refuses new calls and waits for the present ones.
func (a *admission) drain(ctx context.Context) error {
	a.draining.Store(true)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for a.inFlight.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d invocations still run: %w", a.inFlight.Load(), context.Cause(ctx))
		}
	}
	return nil
}
