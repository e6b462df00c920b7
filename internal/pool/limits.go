package pool

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// limit is what keeps a call from running although an environment may be free.
type limit uint8

const (
	noLimit limit = iota
	nodeLimit
	reservedLimit
)

// crowdedParts is the part of the node's concurrency that is left to functions which
// have less than their share of it.
const crowdedParts = 10

// enter counts a call that is about to run, unless a limit is reached.
func (s *Set) enter(h *habit) limit {
	most := int64(s.cfg.MaxConcurrency)
	n, own := s.running.Add(1), h.running.Add(1)
	if own == 1 {
		s.active.Add(1)
	}
	if reserved := h.reserved.Load(); reserved != unreserved && own > reserved {
		s.exit(h)
		return reservedLimit
	}
	if most > 0 && (n > most || n > most-most/crowdedParts && own > max(1, most/(s.active.Load()+1))) {
		s.exit(h)
		return nodeLimit
	}
	return noLimit
}

// exit counts the end of a call.
func (s *Set) exit(h *habit) {
	if h.running.Add(-1) == 0 {
		s.active.Add(-1)
	}
	s.running.Add(-1)
}

// takeTurns gives what the node's concurrency has room for to the pools whose turn
// it is. Whoever finds no room keeps its place. No lock is held.
func (s *Set) takeTurns() {
	for range s.turns.len() {
		p := s.turns.first()
		if p == nil {
			return
		}
		p.mu.Lock()
		full := p.serve(time.Now())
		waits := len(p.waiters) > 0
		p.mu.Unlock()
		if full {
			return
		}
		s.turns.pass(p, waits)
	}
}

// serveSuccessor lets the pool that took a retired one's place have the function's
// reserved concurrency. No lock is held.
func (s *Set) serveSuccessor(old *pool) {
	v := old.version
	if now, ok := s.pools.Load(key{v.Namespace, v.Function, v.Number}); ok {
		p := now.(*pool)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.serve(time.Now())
	}
}

// turns is the order in which pools get what the whole node has too little of: in
// turns over the namespaces, and over the pools of each.
type turns struct {
	n atomic.Int32

	mu         sync.Mutex
	namespaces []string
	pools      map[string][]*pool
}

// waiting reports whether any pool waits for its turn.
func (t *turns) waiting() bool { return t.n.Load() > 0 }

func (t *turns) len() int { return int(t.n.Load()) }

// push puts p at the end of the order, unless it is in it.
func (t *turns) push(p *pool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ns := p.version.Namespace
	list := t.pools[ns]
	if slices.Contains(list, p) {
		return
	}
	if t.pools == nil {
		t.pools = make(map[string][]*pool)
	}
	if len(list) == 0 {
		t.namespaces = append(t.namespaces, ns)
	}
	t.pools[ns] = append(list, p)
	t.n.Add(1)
}

// first returns the pool whose turn it is; nil: none waits.
func (t *turns) first() *pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.namespaces) == 0 {
		return nil
	}
	return t.pools[t.namespaces[0]][0]
}

// pass ends the turn of p: it goes to the end of the order if it waits for another,
// and so does its namespace if any of it does.
func (t *turns) pass(p *pool, waits bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ns := p.version.Namespace
	list := t.pools[ns]
	i := slices.Index(list, p)
	if i < 0 {
		return // another has passed it
	}
	list = slices.Delete(list, i, i+1)
	if waits {
		list = append(list, p)
	} else {
		t.n.Add(-1)
	}
	at := slices.Index(t.namespaces, ns)
	t.namespaces = slices.Delete(t.namespaces, at, at+1)
	if len(list) == 0 {
		delete(t.pools, ns)
		return
	}
	t.pools[ns] = list
	t.namespaces = append(t.namespaces, ns)
}
