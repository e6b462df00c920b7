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
	Idle, Busy, Starting, Waiting int
	MemoryBytes, MemoryLimitBytes int64
}

// Totals counts environments, starts and waiting calls.
func (s *Set) Totals() Totals {
	t := Totals{MemoryBytes: s.budget.used(), MemoryLimitBytes: s.cfg.MemoryBytes}
	s.pools.Range(func(_, v any) bool {
		p := v.(*pool)
		p.mu.Lock()
		defer p.mu.Unlock()
		t.Idle += len(p.idle)
		t.Busy += len(p.busy)
		t.Starting += len(p.starts)
		t.Waiting += len(p.waiters)
		return true
	})
	return t
}

func (p *pool) status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Status, 0, len(p.idle)+len(p.busy))
	for _, e := range p.idle {
		all = append(all, statusOf(e.Environment))
	}
	for e := range p.busy {
		all = append(all, statusOf(e))
	}
	return all
}

func statusOf(e *environment.Environment) Status {
	return Status{
		ID: e.ID, Version: e.Version.Number, Revision: e.Version.Revision, State: e.State().String(),
		Started: e.Started(), Calls: e.Calls(), MemoryMB: e.Version.MemoryMB,
	}
}
