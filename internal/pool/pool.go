package pool

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/function"
)

// pool holds the environments of one revision of one version. An arriving call
// takes the environment that was freed last; with none free it joins a
// first-in-first-out queue and is served by whichever comes first, a freed
// environment or one that is being started. There are never more starts under
// way than calls in the queue.
type pool struct {
	set     *Set
	version *function.Version

	mu      sync.Mutex
	retired bool
	idle    []idleEnvironment // the one freed last is the last
	busy    map[*environment.Environment]bool
	waiters []*waiter // the one that came first is the first
	starts  []*start
	calls   int // how many calls an environment served so far: tells a first start from a scale-out
}

type idleEnvironment struct {
	*environment.Environment
	since time.Time
}

// waiter is a call in the queue. grant has room for one.
type waiter struct {
	grant chan grant
}

type grant struct {
	env *environment.Environment
	err error
}

// start is an environment on its way. It can be called off until it has its
// share of the node's memory.
type start struct {
	cancel  context.CancelFunc
	running bool
}

// acquire returns an environment in which the caller may run one call. cold
// reports whether the call had to wait for a start to end.
func (p *pool) acquire(ctx context.Context) (env *environment.Environment, cold string, err error) {
	p.mu.Lock()
	if p.retired {
		p.mu.Unlock()
		return nil, "", ErrRetired
	}
	if env := p.takeIdle(); env != nil {
		p.mu.Unlock()
		return env, "", nil
	}
	reason := "scale-out"
	if p.calls == 0 && len(p.busy) == 0 && len(p.starts) == 0 {
		reason = "first call"
	}
	w := &waiter{grant: make(chan grant, 1)}
	p.waiters = append(p.waiters, w)
	p.ensureStarts()
	p.mu.Unlock()

	select {
	case g := <-w.grant:
		if g.env != nil && g.env.Calls() == 0 {
			return g.env, reason, nil
		}
		return g.env, "", g.err
	case <-ctx.Done():
		p.leave(w)
		return nil, "", context.Cause(ctx)
	}
}

// takeIdle takes the environment that was freed last and still lives. p.mu is
// held.
func (p *pool) takeIdle() *environment.Environment {
	for len(p.idle) > 0 {
		env := p.idle[len(p.idle)-1].Environment
		p.idle = p.idle[:len(p.idle)-1]
		if env.Alive() {
			p.busy[env] = true
			return env
		}
		p.set.stop(env)
	}
	return nil
}

// leave takes a waiter whose caller has gone out of the queue. If it was served
// at that very moment, its environment goes to the next.
func (p *pool) leave(w *waiter) {
	p.mu.Lock()
	if i := slices.Index(p.waiters, w); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
		p.callOff()
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	if g := <-w.grant; g.env != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.put(g.env)
	}
}

// callOff cancels starts that wait for memory and that no call needs any more.
// p.mu is held.
func (p *pool) callOff() {
	for i := len(p.starts) - 1; i >= 0 && len(p.starts) > len(p.waiters); i-- {
		if s := p.starts[i]; !s.running {
			s.cancel()
			p.starts = slices.Delete(p.starts, i, i+1)
		}
	}
}

// ensureStarts begins a start for each waiter that has none. p.mu is held.
func (p *pool) ensureStarts() {
	for len(p.starts) < len(p.waiters) && !p.retired {
		if p.set.cfg.MaxEnvironments > 0 && len(p.starts)+len(p.busy)+len(p.idle) >= p.set.cfg.MaxEnvironments {
			return
		}
		ctx, cancel := context.WithCancel(p.set.ctx)
		s := &start{cancel: cancel}
		if !p.set.spawn(func() { p.run(ctx, s) }) {
			cancel()
			return
		}
		p.starts = append(p.starts, s)
	}
}

// run carries one start through and hands its outcome to the queue.
func (p *pool) run(ctx context.Context, s *start) {
	defer s.cancel()
	memory := memoryOf(p.version)
	if err := p.set.budget.take(ctx, memory, p.set.evict); err != nil {
		p.started(s, nil, err)
		return
	}
	p.mu.Lock()
	s.running = slices.Contains(p.starts, s)
	p.mu.Unlock()
	if !s.running { // called off at the last moment
		p.set.budget.give(memory)
		return
	}
	env, err := p.set.cfg.Start(ctx, p.version)
	if err != nil {
		p.set.budget.give(memory)
	}
	p.started(s, env, err)
}

// started ends a start: its environment joins the pool; its error goes to the
// call that came first, unless the start was called off.
func (p *pool) started(s *start, env *environment.Environment, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.starts, s)
	if i < 0 { // called off; only a start without environment can be
		return
	}
	p.starts = slices.Delete(p.starts, i, i+1)
	if err == nil {
		p.busy[env] = true
		p.put(env)
		return
	}
	if len(p.waiters) > 0 {
		p.pop().grant <- grant{err: err}
	}
	p.ensureStarts()
}

func (p *pool) pop() *waiter {
	w := p.waiters[0]
	p.waiters = slices.Delete(p.waiters, 0, 1)
	return w
}

// release takes an environment back from a call.
func (p *pool) release(env *environment.Environment, reusable bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if !reusable || !env.Alive() {
		delete(p.busy, env)
		p.set.stop(env)
		p.ensureStarts()
		return
	}
	p.put(env)
}

// put gives a free environment to the first waiter or lays it aside. p.mu is
// held.
func (p *pool) put(env *environment.Environment) {
	switch {
	case p.retired:
		delete(p.busy, env)
		p.set.stop(env)
	case len(p.waiters) > 0:
		p.pop().grant <- grant{env: env}
		p.callOff()
	default:
		delete(p.busy, env)
		p.idle = append(p.idle, idleEnvironment{env, time.Now()})
		p.set.budget.nudge()
	}
}

// retire ends the pool: idle environments stop now, busy ones with their call,
// waiting calls are told to look for the version again.
func (p *pool) retire(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	for _, w := range p.waiters {
		w.grant <- grant{err: cause}
	}
	p.waiters = nil
	p.callOff()
	for _, e := range p.idle {
		p.set.stop(e.Environment)
	}
	p.idle = nil
}

// kill stops the busy environments of a retired pool.
func (p *pool) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for env := range p.busy {
		p.set.stop(env)
	}
}

// reap stops environments that have been idle since before cut or have died.
func (p *pool) reap(now time.Time, defaultTimeout time.Duration) {
	timeout := p.version.IdleTimeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(e idleEnvironment) bool {
		if now.Sub(e.since) < timeout && e.Alive() {
			return false
		}
		p.set.stop(e.Environment)
		return true
	})
}

// oldest returns since when the environment that has been idle longest is idle.
func (p *pool) oldest() (since time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return time.Time{}, false
	}
	return p.idle[0].since, true
}

// evictOldest stops the environment that has been idle longest.
func (p *pool) evictOldest() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return false
	}
	p.set.stop(p.idle[0].Environment)
	p.idle = slices.Delete(p.idle, 0, 1)
	return true
}

// empty reports whether a retired pool has nothing left to do.
func (p *pool) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.retired && len(p.busy) == 0 && len(p.starts) == 0
}

// ErrRetired says that the version's environments have been retired while the
// call waited: the caller looks the version up again.
var ErrRetired = errors.New("the version was replaced")
