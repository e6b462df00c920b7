package pool

import (
	"context"
	"sync"
	"sync/atomic"

	"mayfly.dev/mayfly/internal/fault"
)

// budget is the memory that environments may take on this node together, by
// their configured sizes.
type budget struct {
	waiting atomic.Int32 // how many callers are in take, so that nobody else pays for them

	mu       sync.Mutex
	total    int64
	free     int64
	stopping int64         // will be free as soon as a destruction ends
	changed  chan struct{} // closed and replaced when a waiter should look again
}

func newBudget(total int64) *budget {
	return &budget{total: total, free: total, changed: make(chan struct{})}
}

// take waits until n bytes are free and takes them. evict is asked to make room;
// it reports whether it found something to stop.
func (b *budget) take(ctx context.Context, n int64, evict func() bool) error {
	if n > b.total {
		return fault.New(fault.Unavailable, "NodeMemory",
			"the function's memory of %d MB is more than the %d MB that this node may give to functions: lower the function's memory or raise the node's setting memory", n>>20, b.total>>20)
	}
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	for {
		b.mu.Lock()
		if b.free >= n {
			b.free -= n
			b.mu.Unlock()
			return nil
		}
		short := b.free+b.stopping < n
		changed := b.changed
		b.mu.Unlock()
		if short && evict() {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leaving says that n bytes are about to be given back.
func (b *budget) leaving(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopping += n
}

// left gives back n bytes that were announced by leaving.
func (b *budget) left(n int64) {
	b.mu.Lock()
	b.stopping -= n
	b.mu.Unlock()
	b.give(n)
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	b.free += n
	b.mu.Unlock()
	b.nudge()
}

// nudge lets those who wait look again: bytes came back or an environment that
// could be evicted has become idle.
func (b *budget) nudge() {
	if b.waiting.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}

// used returns the bytes taken.
func (b *budget) used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total - b.free
}
