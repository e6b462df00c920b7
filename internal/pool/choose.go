package pool

import (
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/invocation"
)

// Calls are handed over before their turn only where those before them are short:
// whoever waits in an environment can't change to another that becomes free.
const (
	// shortLimit is how long a short call takes, and contention how many times longer
	// it may than it waits for a processor on average: on a busy machine every call
	// now and then waits for the machine, whatever it does.
	shortLimit = 5 * time.Millisecond
	contention = 20
	// maxSlow is the share of calls that may take longer, slowestParts how many
	// times longer none may have of late.
	maxSlow      = 0.05
	slowestParts = 10
	// aheadSamples is how many calls must be known.
	aheadSamples = 4
	// slowestFades is the part of the slowest call's time that each further call
	// takes off it, slowFades the weight of a call in their share.
	slowestFades = 256
	slowFades    = 64
	// computes is the share of its time from which on a call counts as one that does
	// nothing but compute.
	computes = 0.5
)

// short is how long a short call takes on this machine now. p.mu is held.
func (p *pool) short() time.Duration {
	return shortLimit + time.Duration(contention*p.delay*float64(time.Second))
}

// turn is how long a call is expected to keep those that are taken ahead of their
// turn waiting. p.mu is held.
func (p *pool) turn() time.Duration {
	if p.cpu.Value() >= computes {
		return p.cpu.Mean()
	}
	return p.service.Value()
}

// choose returns the member that takes the next call, nil if none should. p.mu is
// held.
func (p *pool) choose(now time.Time) *member {
	if slots := p.version.Slots(); slots > 1 {
		if m := p.leastBusy(slots); m != nil {
			return m
		}
	}
	ahead := p.aheadOf()
	if ahead != nil && len(p.idle) > 0 {
		o := p.observe(now)
		if o.ServiceTime, o.AheadWait = p.turn(), time.Duration(ahead.calls)*p.turn(); autoscaler.ShouldWake(o) {
			ahead = nil
		}
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
// are so short that none has to wait long behind another: the first with room, so
// that the others become idle. p.mu is held.
func (p *pool) aheadOf() *member {
	if len(p.busy) == 0 || p.samples < aheadSamples || p.version.Slots() > 1 || p.slow > maxSlow || p.slowest > slowestParts*p.short() {
		return nil
	}
	room := 1 + p.busy[0].Ahead()
	if turn := p.turn(); turn > 0 {
		room = min(room, 1+int(shortLimit/turn))
	}
	for _, m := range p.busy {
		if !m.gone && m.calls < room && m.Alive() {
			return m
		}
	}
	return nil
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
