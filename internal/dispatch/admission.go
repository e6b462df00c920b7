package dispatch

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

// admission counts the calls of the node, those that wait included, and refuses
// new ones while it stops.
type admission struct {
	inFlight atomic.Int64
	draining atomic.Bool
}

// enter admits a call or says why not. leave is called at its end.
func (a *admission) enter() error {
	a.inFlight.Add(1)
	if a.draining.Load() {
		a.leave()
		return fault.New(fault.Unavailable, "Draining", "the node is stopping: try again in a moment")
	}
	return nil
}

func (a *admission) leave() { a.inFlight.Add(-1) }

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
