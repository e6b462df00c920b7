package pool

import (
	"context"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/invocation"
)

const (
	// settled is how long an environment stays at least that is not expected to be
	// needed soon.
	settled = 30 * time.Second
	// reclaimAfter is how long an environment has been idle when its memory is
	// reclaimed, and reclaimsAtOnce how many of a version are at each tick: it takes
	// milliseconds.
	reclaimAfter   = 10 * time.Second
	reclaimsAtOnce = 4
)

// tick does what is due: idle environments end, are frozen or have their memory
// reclaimed; one is started for a call that is expected.
func (p *pool) tick(ctx context.Context, now time.Time) {
	freeze, reclaim := p.review(now)
	for _, m := range freeze {
		m.Freeze(ctx) // a call that takes it meanwhile goes first
	}
	for _, m := range reclaim {
		m.Reclaim(ctx)
	}
}

// review ends what is not needed any more and returns what is to be frozen and
// reclaimed.
func (p *pool) review(now time.Time) (freeze, reclaim []*member) {
	w, last := p.habit.windows(p.policy())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired {
		return nil, nil
	}
	size := p.size()
	for _, m := range p.busy {
		p.charge(m, size)
	}
	spare := len(p.idle) + len(p.busy) - p.version.MinEnvironments
	p.idle = slices.DeleteFunc(p.idle, func(m *member) bool {
		idle := now.Sub(m.since)
		switch {
		case !m.Alive():
			p.lose(m, invocation.ReasonCrashed)
			return true
		case spare > 0 && idle >= settled && !w.Warm(idle), spare > 0 && idle >= w.End():
			spare--
			p.lose(m, invocation.ReasonExpired)
			return true
		}
		p.charge(m, size)
		switch after := p.set.cfg.FreezeAfter; {
		case after == 0 || idle < after:
		case m.reclaimed:
		case idle >= reclaimAfter && len(reclaim) < reclaimsAtOnce:
			m.reclaimed = true
			reclaim = append(reclaim, m)
		default:
			freeze = append(freeze, m)
		}
		return false
	})
	if len(p.idle)+len(p.busy)+len(p.starts) == 0 {
		p.dropZygote() // it is kept for scale-out, not for the first environment
	}
	p.expect(w, last, now)
	p.scale(now)
	return freeze, reclaim
}

// policy says how long the version's idle environments are kept.
func (p *pool) policy() autoscaler.KeepWarm {
	if p.version.IdleTimeout > 0 {
		return autoscaler.Fixed(p.version.IdleTimeout)
	}
	return p.set.cfg.KeepWarm
}

// expect starts an environment if the function has none and a call is likely. p.mu
// is held.
func (p *pool) expect(w autoscaler.Windows, last, now time.Time) {
	if w.PreWarm == 0 || last.IsZero() || len(p.idle)+len(p.busy)+len(p.starts) > 0 {
		return
	}
	if w.Warm(now.Sub(last)) && p.habit.prewarm() {
		p.begin(true)
	}
}

// charge sets aside for a member what its function is known to use by now. p.mu is
// held.
func (p *pool) charge(m *member, size int64) {
	if m.charge != size && !m.gone {
		p.set.gate.adjust(&p.account, size-m.charge)
		m.charge = size
	}
}
