package pool

import (
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/invocation"
)

const (
	// aheadLimit is how long the slowest of a function's late calls may have taken
	// for others to be handed over before their turn: whoever waits in an
	// environment can't change to another that becomes free.
	aheadLimit = 5 * time.Millisecond
	// aheadSamples is how many calls must be known for that.
	aheadSamples = 8
)

// choose returns the member that takes the next call, nil if none should. p.mu is
// held.
func (p *pool) choose(now time.Time) *member {
	if slots := p.version.Slots(); slots > 1 {
		if m := p.leastBusy(slots); m != nil {
			return m
		}
	}
	ahead := p.aheadOf()
	if ahead != nil && len(p.idle) > 0 && autoscaler.ShouldWake(p.observe(now)) {
		ahead = nil
	}
	if ahead != nil {
		return ahead
	}
	return p.takeIdle()
}

// leastBusy returns the busy member with the most room for calls; nil if none has
// any. p.mu is held.
func (p *pool) leastBusy(room int) *member {
	var best *member
	for _, m := range p.busy {
		if !m.gone && m.calls < room && (best == nil || m.calls < best.calls) && m.Alive() {
			best = m
		}
	}
	return best
}

// aheadOf returns the busy member that takes a call ahead, if the function's calls
// are so short that none has to wait long behind another. p.mu is held.
func (p *pool) aheadOf() *member {
	if len(p.busy) == 0 || p.samples < aheadSamples || p.slowest > aheadLimit || p.version.Slots() > 1 {
		return nil
	}
	return p.leastBusy(1 + p.busy[0].Ahead())
}

// takeIdle takes the member that was freed last and still lives. p.mu is held.
func (p *pool) takeIdle() *member {
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		m := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		if m.Alive() {
			return m
		}
		p.lose(m, invocation.ReasonCrashed)
	}
	return nil
}

// observe is what the autoscaler must know of the function. p.mu is held.
func (p *pool) observe(now time.Time) autoscaler.Observation {
	o := autoscaler.Observation{
		Waiting: len(p.waiters), Starting: len(p.starts), Busy: len(p.busy), Idle: len(p.idle),
		Slots: p.version.Slots(), ServiceTime: p.service.Value(), StartTime: p.startTime.Value(),
		CPUBound: p.cpu.Value(), Cores: p.set.cores, RunningOnNode: int(p.set.busy.Load()),
		Min: p.version.MinEnvironments, Max: p.max(),
	}
	if len(p.waiters) > 0 {
		o.OldestWait = now.Sub(p.waiters[0].since)
	}
	if len(p.busy) > 0 {
		o.Ahead = p.busy[0].Ahead()
	}
	if !p.released.IsZero() {
		o.SinceRelease = now.Sub(p.released)
	}
	return o
}

// max is how many environments the version may have; 0: memory alone bounds them.
func (p *pool) max() int {
	own, node := p.version.MaxEnvironments, p.set.cfg.MaxEnvironments
	if own == 0 || node != 0 && node < own {
		return node
	}
	return own
}
