package pool

import (
	"context"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/environment"
)

const (
	// minBackoff and maxBackoff bound the rest after a failed start for no call.
	minBackoff = time.Second
	maxBackoff = time.Minute
	// maxPause is how seldom a pool looks again at calls that wait for long.
	maxPause = time.Second
)

// start is an environment on its way. It can be called off until its turn has
// come.
type start struct {
	cancel   context.CancelFunc
	running  bool
	expected bool // of a call that has not come yet: it is not called off
}

// scaleNow is scale for who does not hold p.mu.
func (p *pool) scaleNow(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve(now)
	p.scale(now)
}

// scale begins the starts that are wanted and calls off those that are not any
// more. p.mu is held.
func (p *pool) scale(now time.Time) {
	if p.retired {
		return
	}
	o := p.observe(now)
	want := autoscaler.Desired(o)
	if len(p.waiters) == 0 && now.Before(p.retryAt) {
		want = 0
	}
	for len(p.starts) < want && p.begin(false) {
	}
	p.callOff(want)
	p.watch()
}

// watch looks again after a while if calls wait: what is known of a function may
// have become wrong, so that nothing that was expected happens. It looks less and
// less often while that helps nobody. p.mu is held.
func (p *pool) watch() {
	if len(p.waiters) == 0 {
		p.pause = 0
		return
	}
	if p.armed {
		return
	}
	p.armed, p.pause = true, min(max(2*p.pause, autoscaler.Patience), maxPause)
	if p.alarm == nil {
		p.alarm = time.AfterFunc(p.pause, p.lookAgain)
		return
	}
	p.alarm.Reset(p.pause)
}

func (p *pool) lookAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	now := time.Now()
	p.serve(now)
	p.scale(now)
}

// begin begins one start, for calls that wait or for one that is expected. It
// reports false if the set takes no more. p.mu is held.
func (p *pool) begin(expected bool) bool {
	ctx, cancel := context.WithCancel(p.set.ctx)
	s := &start{cancel: cancel, expected: expected}
	c := claim{account: &p.account, bytes: p.size()}
	if !p.set.spawn(func() { p.run(ctx, s, &c) }) {
		cancel()
		return false
	}
	p.starts = append(p.starts, s)
	return true
}

// callOff cancels starts beyond want whose turn has not come. p.mu is held.
func (p *pool) callOff(want int) {
	for i := len(p.starts) - 1; i >= 0 && len(p.starts) > want; i-- {
		if s := p.starts[i]; !s.running && !s.expected {
			s.cancel()
			p.starts = slices.Delete(p.starts, i, i+1)
		}
	}
}

// run carries one start through.
func (p *pool) run(ctx context.Context, s *start, c *claim) {
	defer s.cancel()
	g := p.set.gate
	if err := g.take(ctx, c); err != nil {
		p.started(s, nil, err)
		return
	}
	p.mu.Lock()
	s.running = slices.Contains(p.starts, s)
	p.mu.Unlock()
	if !s.running { // called off at the last moment
		g.pass(c)
		g.give(c)
		return
	}
	slow := time.AfterFunc(startTurn, func() { g.pass(c) })
	env, err := p.make(ctx)
	slow.Stop()
	g.pass(c)
	if err != nil {
		g.give(c)
		p.started(s, nil, err)
		return
	}
	p.started(s, &member{Environment: env, charge: c.bytes, account: c.account}, nil)
}

// make makes an environment in the fastest way there is: a copy of the version's
// zygote, from a stem, from nothing.
func (p *pool) make(ctx context.Context) (*environment.Environment, error) {
	if z := p.template(); z != nil {
		e, err := p.set.cfg.Factory.Fork(ctx, z)
		if err == nil || ctx.Err() != nil {
			return e, err
		}
		p.set.log.WarnContext(ctx, "a zygote could not be copied, the start begins anew", "function", p.version.Function, "err", err)
	}
	return p.set.cfg.Factory.Start(ctx, p.version, p.set.stems.take(p.version))
}

// started ends a start: its environment joins the pool; its error goes to the
// call that came first, unless the start was called off.
func (p *pool) started(s *start, m *member, err error) {
	now := time.Now()
	p.mu.Lock()
	i := slices.Index(p.starts, s)
	if i < 0 { // called off; only a start without environment can be
		p.mu.Unlock()
		return
	}
	p.starts = slices.Delete(p.starts, i, i+1)
	if err == nil {
		p.retryAt, p.backoff = time.Time{}, 0
		p.joinMember(m, now)
		p.next(now)
		return
	}
	if len(p.waiters) > 0 {
		p.pop().grant <- grant{err: err}
	} else {
		p.backoff = min(max(2*p.backoff, minBackoff), maxBackoff)
		p.retryAt = now.Add(p.backoff)
		if p.set.ctx.Err() == nil {
			p.set.log.Warn("an environment that was to be kept ready could not be started",
				"function", p.version.Function, "err", err, "retry_in", p.backoff)
		}
	}
	p.scale(now)
	p.mu.Unlock()
}

// joinMember makes a started environment a member. p.mu is held.
func (p *pool) joinMember(m *member, now time.Time) {
	p.startTime.Observe(m.Phases.Total())
	if p.retired {
		p.lose(m, "")
		return
	}
	m.since = p.habit.idleSince(now)
	m.priority = p.set.priority(m.Calls(), p.startTime.Value(), m.charge)
	p.idle = append(p.idle, m)
	p.set.gate.nudge()
}
