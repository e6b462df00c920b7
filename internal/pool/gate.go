package pool

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

const (
	// startsPerCore is how many starts run at once for each processor: making
	// processes does not scale beyond.
	startsPerCore = 2
	// startTurn is how long a start keeps others from theirs: one that waits in its
	// init phase computes little.
	startTurn = 250 * time.Millisecond
	// reserveParts is the part of the memory that is left for functions without any
	// environment.
	reserveParts = 10
	// overtaken is how long a start waits for memory before smaller ones that came
	// later may not overtake it any more.
	overtaken = time.Second
)

// gate lets starts begin: each takes a part of the node's memory and one of a few
// turns. Where they are short, functions without any environment come first, then
// the namespace that has the least memory, and in it the function that has the
// least.
type gate struct {
	evict func() bool

	mu       sync.Mutex
	total    int64
	free     int64 // below 0 if environments use more than was expected
	stopping int64 // will be free as soon as a destruction ends
	turns    int
	short    bool // the machine itself has no memory to give
	held     map[string]int64
	waiting  []*claim

	queue atomic.Int32 // how many wait, so that nobody else pays for them
}

// account is who has memory, guarded by gate.mu. The namespace "" is the node's
// own.
type account struct {
	namespace string
	held      int64
}

// claim is what a start needs.
type claim struct {
	account *account
	bytes   int64
	since   time.Time
	granted bool          // guarded by gate.mu
	wake    chan struct{} // has a value when the claim should look again
	passed  sync.Once
}

func newGate(total int64, turns int, evict func() bool) *gate {
	return &gate{evict: evict, total: total, free: total, turns: turns, held: make(map[string]int64)}
}

// take waits for a claim's turn and its memory. [gate.pass] gives back the turn,
// [gate.give] the memory.
func (g *gate) take(ctx context.Context, c *claim) error {
	if c.bytes > g.total {
		return fault.New(fault.Unavailable, "NodeMemory",
			"the function's memory of %d MB is more than the %d MB that this node may give to functions: lower the function's memory or raise the node's setting memory", c.bytes>>20, g.total>>20)
	}
	c.since, c.wake = time.Now(), make(chan struct{}, 1)
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	for {
		g.admit()
		granted, lacks := c.granted, g.lacks(c)
		select {
		case <-c.wake: // it has looked by now
		default:
		}
		g.mu.Unlock()
		if granted {
			return nil
		}
		if !lacks || !g.evict() {
			select {
			case <-c.wake:
			case <-ctx.Done():
				return g.withdraw(ctx, c)
			}
		}
		g.mu.Lock()
	}
}

// withdraw takes back a claim; one that was granted meanwhile is given back.
func (g *gate) withdraw(ctx context.Context, c *claim) error {
	g.mu.Lock()
	granted := c.granted
	if !granted {
		g.waiting = slices.DeleteFunc(g.waiting, func(other *claim) bool { return other == c })
		g.admit() // it may have kept others from their turn
	}
	g.mu.Unlock()
	if granted {
		g.pass(c)
		g.give(c)
	}
	return context.Cause(ctx)
}

// admit grants the claims whose turn it is, and has the first of the others look
// whether it should have room made for it. g.mu is held.
func (g *gate) admit() {
	defer func() { g.queue.Store(int32(len(g.waiting))) }()
	if len(g.waiting) == 0 {
		return
	}
	slices.SortStableFunc(g.waiting, func(a, b *claim) int {
		if first := a.first(); first != b.first() {
			return map[bool]int{true: -1, false: 1}[first]
		}
		return cmp.Or(cmp.Compare(g.held[a.account.namespace], g.held[b.account.namespace]),
			cmp.Compare(a.account.held, b.account.held), a.since.Compare(b.since))
	})
	for _, c := range g.waiting {
		if g.turns == 0 {
			break
		}
		if g.fits(c) {
			c.granted = true
			c.look()
			g.turns--
			g.hold(c.account, c.bytes)
		} else if time.Since(c.since) > overtaken {
			break
		}
	}
	g.waiting = slices.DeleteFunc(g.waiting, func(c *claim) bool { return c.granted })
	if len(g.waiting) > 0 && g.lacks(g.waiting[0]) {
		g.waiting[0].look()
	}
}

// first reports whether the version has no environment yet. The gate's mu is held.
func (c *claim) first() bool { return c.account.held == 0 }

func (c *claim) look() {
	select {
	case c.wake <- struct{}{}:
	default: // it is about to look
	}
}

// fits reports whether there is memory for the claim. g.mu is held.
func (g *gate) fits(c *claim) bool {
	if c.first() {
		return g.free >= c.bytes
	}
	return !g.short && g.free-c.bytes >= g.reserve(c)
}

// reserve is what a claim has to leave, where it is not all that there is.
func (g *gate) reserve(c *claim) int64 {
	if c.first() {
		return 0
	}
	return min(g.total/reserveParts, max(0, g.total-c.bytes))
}

// lacks reports whether c has the first turn and waits for memory alone. g.mu is
// held.
func (g *gate) lacks(c *claim) bool {
	return len(g.waiting) > 0 && g.waiting[0] == c && g.turns > 0 &&
		g.free+g.stopping-c.bytes < g.reserve(c)
}

// pass gives the claim's turn to the next. It may be called twice.
func (g *gate) pass(c *claim) {
	c.passed.Do(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.turns++
		g.admit()
	})
}

// hold moves memory to an account. g.mu is held.
func (g *gate) hold(a *account, bytes int64) {
	g.free -= bytes
	a.held += bytes
	if g.held[a.namespace] += bytes; g.held[a.namespace] == 0 {
		delete(g.held, a.namespace)
	}
}

// give gives back a claim's memory.
func (g *gate) give(c *claim) { g.adjust(c.account, -c.bytes) }

// adjust takes more bytes for what runs already, or gives some back.
func (g *gate) adjust(a *account, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold(a, bytes)
	g.admit()
}

// owes reports whether an environment of a, which has just ended a call, should
// make room: a start has waited for long that has more right to the memory.
func (g *gate) owes(a *account) bool {
	if g.queue.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		return false
	}
	c := g.waiting[0]
	switch own, others := g.held[a.namespace], g.held[c.account.namespace]; {
	case c.account == a || time.Since(c.since) < overtaken || g.free+g.stopping-c.bytes >= g.reserve(c):
		return false
	case c.first():
		return true
	case c.account.namespace == a.namespace:
		return c.account.held+c.bytes < a.held
	default:
		return others+c.bytes < own
	}
}

// leaving says that bytes are about to be given back.
func (g *gate) leaving(bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopping += bytes
}

// left gives back bytes that were announced by leaving.
func (g *gate) left(a *account, bytes int64) {
	g.mu.Lock()
	g.stopping -= bytes
	g.mu.Unlock()
	g.adjust(a, -bytes)
}

// nudge lets waiting starts look again: an environment that could make room has
// become idle.
func (g *gate) nudge() {
	if g.queue.Load() == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.admit()
}

// press says whether the machine itself is short of memory.
func (g *gate) press(short bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.short = short
}

// used returns the bytes taken.
func (g *gate) used() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total - g.free
}
