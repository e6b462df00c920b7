// Package pool keeps the execution environments of a node: one pool per version,
// all of them within the node's memory. It decides which environment takes a
// call, when one is started, when an idle one ends and which makes room for
// another. Whether a call is admitted is the dispatcher's matter.
//
// Locks are taken in the order Set, pool, budget, environment.
package pool

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/function"
)

const reapInterval = 500 * time.Millisecond

// Config is how a set of pools works.
type Config struct {
	// Start makes an environment of a version and waits for its init.
	Start func(ctx context.Context, v *function.Version) (*environment.Environment, error)
	// IdleTimeout is how long an idle environment is kept unless its version
	// says otherwise.
	IdleTimeout time.Duration
	// MaxEnvironments bounds the environments of one version; 0: memory alone
	// does.
	MaxEnvironments int
	// MemoryBytes is what all environments may take together.
	MemoryBytes int64
	Log         *slog.Logger
}

// Set is the pools of a node. It is safe for concurrent use.
type Set struct {
	cfg    Config
	log    *slog.Logger
	budget *budget
	pools  sync.Map // of key to *pool

	ctx    context.Context //nolint:containedctx // the life of starts, which outlive the calls that asked for them
	cancel context.CancelCauseFunc

	mu      sync.Mutex // guards pools' writes, closed and old
	closed  bool
	old     []*pool // retired, with environments that still run a call
	running sync.WaitGroup
}

type key struct{ namespace, function, number string }

// NewSet returns a set without environments. [Set.Run] must run for idle ones to
// end.
func NewSet(cfg Config) *Set {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Set{cfg: cfg, log: cfg.Log, budget: newBudget(cfg.MemoryBytes), ctx: ctx, cancel: cancel}
}

// Lease is an environment that one call holds.
type Lease struct {
	*environment.Environment
	// ColdStart says why the call waited for a start: "first call" or
	// "scale-out"; empty if it did not.
	ColdStart string

	pool *pool
}

// Release gives the environment back. reusable is false if it must not take
// another call.
func (l Lease) Release(reusable bool) { l.pool.release(l.Environment, reusable) }

// Acquire returns an environment of v. It waits until one is free or started, or
// ctx is done. [ErrRetired] says that v has been replaced meanwhile.
func (s *Set) Acquire(ctx context.Context, v *function.Version) (Lease, error) {
	p, err := s.poolOf(v)
	if err != nil {
		return Lease{}, err
	}
	env, cold, err := p.acquire(ctx)
	if err != nil {
		return Lease{}, err
	}
	return Lease{Environment: env, ColdStart: cold, pool: p}, nil
}

// poolOf returns the pool of v, a new one in place of an earlier revision's if
// need be.
func (s *Set) poolOf(v *function.Version) (*pool, error) {
	k := key{v.Namespace, v.Function, v.Number}
	if p, ok := s.pools.Load(k); ok && p.(*pool).version.Revision == v.Revision {
		return p.(*pool), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if old, ok := s.pools.Load(k); ok {
		p := old.(*pool)
		if p.version.Revision == v.Revision {
			return p, nil
		}
		if p.version.Modified.After(v.Modified) {
			return nil, ErrRetired // the caller looked v up before it was replaced
		}
		s.retire(k, p, ErrRetired)
	}
	p := &pool{set: s, version: v, busy: map[*environment.Environment]bool{}}
	s.pools.Store(k, p)
	return p, nil
}

// Retire ends the environments of a function's version once the calls they run
// have ended.
func (s *Set) Retire(namespace, name, number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{namespace, name, number}
	if p, ok := s.pools.Load(k); ok {
		s.retire(k, p.(*pool), ErrRetired)
	}
}

// retire takes a pool out of the set. s.mu is held.
func (s *Set) retire(k key, p *pool, cause error) {
	s.pools.CompareAndDelete(k, p)
	p.retire(cause)
	if !p.empty() {
		s.old = append(s.old, p)
	}
}

// Run ends environments whose idle time is over until ctx is done, and then all
// environments. Calls that still run are cut off: the dispatcher drains before.
func (s *Set) Run(ctx context.Context) error {
	tick := time.NewTicker(reapInterval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.reap(now)
		case <-ctx.Done():
			s.close()
			return nil
		}
	}
}

func (s *Set) reap(now time.Time) {
	s.pools.Range(func(_, p any) bool {
		p.(*pool).reap(now, s.cfg.IdleTimeout)
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.old[:0]
	for _, p := range s.old {
		if !p.empty() {
			kept = append(kept, p)
		}
	}
	clear(s.old[len(kept):])
	s.old = kept
}

func (s *Set) close() {
	s.mu.Lock()
	s.closed = true
	s.cancel(errClosed)
	s.pools.Range(func(k, p any) bool {
		s.retire(k.(key), p.(*pool), errClosed)
		return true
	})
	for _, p := range s.old {
		p.kill()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// spawn runs fn in a goroutine that close waits for. It reports false if the set
// takes no more.
func (s *Set) spawn(fn func()) bool {
	if s.ctx.Err() != nil {
		return false
	}
	s.running.Go(fn)
	return true
}

// stop destroys an environment in the background and gives its memory back.
func (s *Set) stop(env *environment.Environment) {
	if !env.Retire() {
		return // another has begun to
	}
	memory := memoryOf(env.Version)
	s.budget.leaving(memory)
	s.running.Go(func() {
		if err := env.Stop(context.WithoutCancel(s.ctx)); err != nil {
			s.log.Error("an environment could not be destroyed", "environment", env.ID, "function", env.Version.Function, "err", err)
		}
		s.budget.left(memory)
	})
}

// evict stops the environment that has been idle longest on the whole node.
func (s *Set) evict() bool {
	var victim *pool
	var since time.Time
	s.pools.Range(func(_, v any) bool {
		p := v.(*pool)
		if t, ok := p.oldest(); ok && (victim == nil || t.Before(since)) {
			victim, since = p, t
		}
		return true
	})
	return victim != nil && victim.evictOldest()
}

func memoryOf(v *function.Version) int64 { return int64(v.MemoryMB) << 20 }
