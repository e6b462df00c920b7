package catalog

import (
	"context"
	"sync"
	"time"
)

// custody lets one at a time store, unpack, start to use or remove a code
// package, and remembers until when an unused one is kept.
type custody struct {
	mu     sync.Mutex // guards all below
	taken  map[string]chan struct{}
	leases map[string]time.Time
}

func newCustody() *custody {
	return &custody{taken: map[string]chan struct{}{}, leases: map[string]time.Time{}}
}

// take waits until nobody else has the package, or ctx is done.
func (c *custody) take(ctx context.Context, digest string) (release func(), err error) {
	for {
		wait := c.tryTake(digest)
		if wait == nil {
			return func() { c.release(digest) }, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// tryTake returns nil if the package is now ours, else a channel that is
// closed when it is free.
func (c *custody) tryTake(digest string) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait, taken := c.taken[digest]; taken {
		return wait
	}
	c.taken[digest] = make(chan struct{})
	return nil
}

func (c *custody) release(digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.taken[digest])
	delete(c.taken, digest)
}

// keep has the package kept for at least d from now.
func (c *custody) keep(digest string, d time.Duration) {
	until := time.Now().Add(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leases[digest].Before(until) {
		c.leases[digest] = until
	}
}

// kept reports whether the package is to be kept at the time now.
func (c *custody) kept(digest string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Before(c.leases[digest])
}

// expire forgets the leases that have ended.
func (c *custody) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for digest, until := range c.leases {
		if !now.Before(until) {
			delete(c.leases, digest)
		}
	}
}
