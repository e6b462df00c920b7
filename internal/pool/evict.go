package pool

import (
	"context"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

// minAvailableParts is the part of MemoryBytes that the machine itself must have
// to give; below it idle environments make room.
const minAvailableParts = 20

// priority is what an environment is worth among those that could make room.
func (s *Set) priority(calls int, cost time.Duration, memoryBytes int64) float64 {
	return s.dual.Load().Priority(calls, cost, memoryBytes)
}

// evict makes room: it stops a stem, or a zygote, or the idle environment that is
// worth least on the whole node. It reports whether it found any.
func (s *Set) evict() bool {
	if s.stems.evict() || s.evictZygote() {
		return true
	}
	var victim *pool
	var lowest float64
	s.pools.Range(func(_, v any) bool {
		p := v.(*pool)
		if worth, ok := p.cheapest(); ok && (victim == nil || worth < lowest) {
			victim, lowest = p, worth
		}
		return true
	})
	if victim == nil || !victim.evict() {
		return false
	}
	for {
		old := s.dual.Load()
		if next := old.Evicted(lowest); s.dual.CompareAndSwap(old, &next) {
			return true
		}
	}
}

// evictZygote ends a zygote, of any pool; its copies go on, and its memory comes
// back with the last of them.
func (s *Set) evictZygote() (found bool) {
	s.pools.Range(func(_, v any) bool {
		p := v.(*pool)
		p.mu.Lock()
		defer p.mu.Unlock()
		if found = p.dropZygote(); found {
			p.zygote.retryAt = time.Now().Add(zygoteRetry)
		}
		return !found
	})
	return found
}

// look finds out whether the machine has memory to give, and makes room if it has
// not.
func (s *Set) look(ctx context.Context) {
	if s.cfg.Available == nil {
		return
	}
	available, err := s.cfg.Available()
	if err != nil {
		s.log.WarnContext(ctx, "the machine's free memory could not be read", "err", err)
		return
	}
	short := available < s.cfg.MemoryBytes/minAvailableParts
	s.gate.press(short)
	if short {
		s.evict()
	}
}

// cheapest returns what the idle member is worth that would go first.
func (p *pool) cheapest() (worth float64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.weakest()
	if i < 0 {
		return 0, false
	}
	return p.idle[i].priority, true
}

// weakest returns the index of the idle member that would go first; -1: none may.
// p.mu is held.
func (p *pool) weakest() int {
	if len(p.idle) == 0 || len(p.idle)+len(p.busy) <= p.version.MinEnvironments {
		return -1
	}
	weakest := 0
	for i, m := range p.idle {
		if m.priority < p.idle[weakest].priority {
			weakest = i
		}
	}
	return weakest
}

// evict stops the idle member that is worth least.
func (p *pool) evict() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.weakest()
	if i < 0 {
		return false
	}
	m := p.idle[i]
	p.idle = slices.Delete(p.idle, i, i+1)
	p.lose(m, invocation.ReasonEvicted)
	return true
}
