// Package pool keeps the execution environments of a node: one pool per version,
// all of them within the node's memory. It decides which environment takes a
// call and which calls wait for their turn, when an environment is started, when
// an idle one is frozen or ends and which makes room for another. The decisions
// themselves are package autoscaler's; here they are carried out.
//
// A call takes three atomic additions and its own pool's lock. Whatever functions
// compete for, the node's concurrency and memory, is given out in turns: see
// [turns] and [gate].
//
// Locks are taken in the order Set, pool, then one of habit, turns, gate and stems,
// then environment.
package pool

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
)

// tickInterval is how often a set looks for what is due.
const tickInterval = 500 * time.Millisecond

// factory is what a set needs to make environments.
type factory interface {
	Start(ctx context.Context, v *function.Version, stem *environment.Stem) (*environment.Environment, error)
	StemFor(v *function.Version) (language.Interpreter, bool)
	StartStem(ctx context.Context, in language.Interpreter) (*environment.Stem, error)
	Forks(e *environment.Environment) bool
	StartZygote(ctx context.Context, v *function.Version) (*environment.Zygote, error)
	Fork(ctx context.Context, z *environment.Zygote) (*environment.Environment, error)
}

// Config is how a set of pools works.
type Config struct {
	// Factory makes environments.
	Factory factory
	// KeepWarm says how long idle environments are kept whose version has no idle
	// timeout of its own.
	KeepWarm autoscaler.KeepWarm
	// FreezeAfter is how long an environment is idle before it is frozen; 0: never.
	FreezeAfter time.Duration
	// MaxConcurrency bounds the calls that run on the node; 0: nothing does.
	MaxConcurrency int
	// MaxQueue bounds the waiting calls of a version, QueueTimeout how long one
	// waits unless the version says otherwise. 0: nothing does.
	MaxQueue     int
	QueueTimeout time.Duration
	// MaxEnvironments bounds the environments of one version; 0: memory alone
	// does.
	MaxEnvironments int
	// MemoryBytes is what all environments may take together, StemMemoryBytes what
	// stems may take of it; 0: there are none.
	MemoryBytes, StemMemoryBytes int64
	// Available returns the memory that the machine could still give; nil: nobody
	// looks.
	Available func() (int64, error)
	Log       *slog.Logger
}

// Set is the pools of a node. It is safe for concurrent use.
type Set struct {
	cfg    Config
	log    *slog.Logger
	cores  float64
	gate   *gate
	turns  turns
	stems  *stems
	pools  sync.Map // of key to *pool
	habits sync.Map // of functionKey to *habit

	running atomic.Int64 // calls that run
	active  atomic.Int64 // functions that run any
	busy    atomic.Int64 // environments that run any
	queued  atomic.Int64 // bytes of the payloads of waiting calls

	ctx    context.Context //nolint:containedctx // the life of starts, which outlive the calls that asked for them
	cancel context.CancelCauseFunc

	dual atomic.Pointer[autoscaler.GreedyDual]

	mu         sync.Mutex // guards pools' writes, closed and old
	closed     bool
	old        []*pool // retired, with environments that still run a call
	background sync.WaitGroup
}

type key struct{ namespace, function, number string }

// NewSet returns a set without environments. [Set.Run] must run for idle ones to
// end.
func NewSet(cfg Config) *Set {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &Set{cfg: cfg, log: cfg.Log, cores: float64(runtime.GOMAXPROCS(0)), ctx: ctx, cancel: cancel}
	s.gate = newGate(cfg.MemoryBytes, startsPerCore*runtime.GOMAXPROCS(0), s.evict)
	s.dual.Store(&autoscaler.GreedyDual{})
	s.stems = newStems(s)
	return s
}

// Demand is a call that needs an environment.
type Demand struct {
	Version *function.Version
	// Reserved is the function's reserved concurrency; nil: it has none.
	Reserved *int
	// FailFast refuses the call where a limit on running calls would have it wait.
	FailFast bool
	// Bytes is the size of what a waiting call keeps in memory.
	Bytes int
}

// Lease is an environment that one call holds.
type Lease struct {
	*environment.Environment
	// ColdStart is why the call waited for a start, one of the reasons of package
	// invocation; empty if it did not.
	ColdStart string

	pool   *pool
	member *member
}

// Release gives the environment back. reusable is false if it must not take
// another call; r is the call's record, nil if it has none.
func (l Lease) Release(reusable bool, r *invocation.Record) { l.pool.release(l.member, reusable, r) }

// Acquire returns an environment of a version. It waits until the call's turn has
// come and one is free or started, or ctx is done. [ErrRetired] says that the
// version has been replaced meanwhile.
func (s *Set) Acquire(ctx context.Context, d Demand) (Lease, error) {
	p, err := s.poolOf(d.Version)
	if err != nil {
		return Lease{}, err
	}
	return p.acquire(ctx, d)
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
	p := newPool(s, v)
	s.pools.Store(k, p)
	return p, nil
}

// Keep prepares, in the background, for a version that can be invoked from now on:
// it has a stem of its runtime ready and keeps the version's minimum of
// environments.
func (s *Set) Keep(v *function.Version) {
	s.spawn(func() {
		s.stems.expect(v)
		if v.MinEnvironments == 0 {
			return
		}
		if p, err := s.poolOf(v); err == nil {
			p.scaleNow(time.Now())
		}
	})
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

// Forget drops what the set knows of a function that was deleted.
func (s *Set) Forget(namespace, name string) { s.habits.Delete(functionKey{namespace, name}) }

// retire takes a pool out of the set. s.mu is held.
func (s *Set) retire(k key, p *pool, cause error) {
	s.pools.CompareAndDelete(k, p)
	p.retire(cause)
	if !p.empty() {
		s.old = append(s.old, p)
	}
}

// Run looks after environments until ctx is done, and then ends all of them.
// Calls that still run are cut off: the dispatcher drains before.
func (s *Set) Run(ctx context.Context) error {
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.tick(ctx, now)
		case <-ctx.Done():
			s.close()
			return nil
		}
	}
}

func (s *Set) tick(ctx context.Context, now time.Time) {
	s.look(ctx)
	s.pools.Range(func(_, p any) bool {
		p.(*pool).tick(ctx, now)
		return true
	})
	s.stems.tick(now)
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
	s.stems.close()
	s.background.Wait()
}

// spawn runs fn in a goroutine that close waits for. It reports false if the set
// takes no more.
func (s *Set) spawn(fn func()) bool {
	if s.ctx.Err() != nil {
		return false
	}
	s.background.Go(fn)
	return true
}

// stop destroys an environment in the background and gives its memory back.
func (s *Set) stop(m *member) {
	if !m.Retire() {
		return // another has begun to
	}
	charge, account := m.charge, m.account
	s.gate.leaving(charge)
	s.background.Go(func() {
		if err := m.Stop(context.WithoutCancel(s.ctx)); err != nil {
			s.log.Error("an environment could not be destroyed", "environment", m.ID, "function", m.Version.Function, "err", err)
		}
		s.gate.left(account, charge)
	})
}
