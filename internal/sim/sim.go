// Package sim runs the policies of the autoscaler over a trace of calls, for
// thousands of functions on hundreds of simulated nodes, and measures what they
// cost: cold starts, memory kept idle, time that calls waited.
//
// It is a discrete-event simulation: time jumps from one event to the next. The
// decisions are package autoscaler's, used as the node's pool uses them; what is
// simulated is that starts and calls take time and memory. Nothing depends on
// the clock or on chance but what the seed gives, so that the same input has the
// same result. A run uses one goroutine; runs may share a trace.
package sim

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mayfly.dev/mayfly/internal/fault"
)

//go:generate go run ./gen ../../docs/scaling.md ../../docs/scaling

// The bounds of a cluster.
const (
	maxNodes       = 10_000
	maxNodeMemory  = 1 << 30 // MB
	checkEvery     = 1 << 16 // events between two looks at the context
	progressSlices = 100
)

// Cluster is what the functions run on.
type Cluster struct {
	Nodes        int
	NodeMemoryMB int
}

func (c Cluster) check(t *Trace) error {
	if c.Nodes < 1 || c.Nodes > maxNodes {
		return fault.New(fault.Invalid, "Nodes", "%d nodes are out of range: use 1 to %d", c.Nodes, maxNodes)
	}
	largest := 0
	for i := range t.Functions {
		largest = max(largest, t.Functions[i].MemoryMB)
	}
	if c.NodeMemoryMB < largest || c.NodeMemoryMB > maxNodeMemory {
		return fault.New(fault.Invalid, "NodeMemory",
			"a node's memory of %d MB is out of range: the largest function takes %d MB, and %d MB is the most", c.NodeMemoryMB, largest, maxNodeMemory)
	}
	return nil
}

// Options are how a comparison runs.
type Options struct {
	// Workers is how many policies are simulated at once.
	Workers int
	// Progress is told the share of the work that has been done, 0 to 1, from
	// several goroutines; nil: nobody is.
	Progress func(done float64)
}

// Compare runs each policy over the trace. The results are in the policies' order
// and carry their wasted memory in relation to ten fixed minutes.
func Compare(ctx context.Context, t *Trace, c Cluster, policies []Policy, o Options) ([]Result, error) {
	if err := c.check(t); err != nil {
		return nil, err
	}
	runs := policies
	base := indexOf(policies, reference)
	if base < 0 {
		base = len(policies)
		runs = append(slices.Clip(policies), reference)
	}
	results := make([]Result, len(runs))
	progress := newProgress(len(runs), o.Progress)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, o.Workers))
	for i, p := range runs {
		group.Go(func() error {
			var err error
			results[i], err = newSimulation(t, c, p).run(ctx, progress)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i := range results {
		results[i].relateTo(results[base].IdleMemoryGBs)
	}
	return results[:len(policies)], nil
}

// micros is a point of simulated time, or a span, in microseconds.
type micros = int64

func toMicros(d time.Duration) micros { return d.Microseconds() }

func fromMicros(m micros) time.Duration { return time.Duration(m) * time.Microsecond }
