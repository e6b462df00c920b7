package pool

import (
	"cmp"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/fault"
)

var errClosed = fault.New(fault.Unavailable, "Draining", "the node is stopping: try again on another node or in a moment")

// Status is what one environment is doing.
type Status struct {
	ID       string
	Version  string
	Revision string
	State    string
	Started  time.Time
	Calls    int
	MemoryMB int
}

// Status lists the environments of a function, the oldest first.
func (s *Set) Status(namespace, name string) []Status {
	var all []Status
	s.pools.Range(func(k, p any) bool {
		if k := k.(key); k.namespace == namespace && k.function == name {
			all = append(all, p.(*pool).status()...)
		}
		return true
	})
	slices.SortFunc(all, func(a, b Status) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// Totals is what the environments of a node take together.
type Totals struct {
	Idle, Busy, Frozen, Starting, Waiting, Stems int
	MemoryBytes, MemoryLimitBytes                int64
}

// Totals counts environments, starts and waiting calls. Frozen ones are idle, too.
func (s *Set) Totals() Totals {
	t := Totals{MemoryBytes: s.gate.used(), MemoryLimitBytes: s.cfg.MemoryBytes, Stems: s.stems.count()}
	s.pools.Range(func(_, v any) bool {
		p := v.(*pool)
		p.mu.Lock()
		defer p.mu.Unlock()
		t.Idle += len(p.idle)
		t.Busy += len(p.busy)
		t.Starting += len(p.starts)
		t.Waiting += len(p.waiters)
		for _, m := range p.idle {
			if m.State() == environment.Frozen {
				t.Frozen++
			}
		}
		return true
	})
	return t
}

func (p *pool) status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Status, 0, len(p.idle)+len(p.busy))
	for _, m := range slices.Concat(p.idle, p.busy) {
		all = append(all, Status{
			ID: m.ID, Version: m.Version.Number, Revision: m.Version.Revision, State: m.State().String(),
			Started: m.Started(), Calls: m.Calls(), MemoryMB: m.Version.MemoryMB,
		})
	}
	return all
}
