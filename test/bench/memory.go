package main

import (
	"context"
	"fmt"
	"slices"
)

// memory reads what a node that has served a little and idle environments take.
func (b *bench) memory(ctx context.Context) (*Table, error) {
	const alike = 8
	t := &Table{
		Title: fmt.Sprintf("Memory of idle processes; environments with %d alike at once, on average", alike),
		Columns: []Column{
			{"resident", "MB"}, {"proportional", "MB"}, {"private", "MB"},
		},
	}
	m, err := memoryOf(b.running.pid)
	if err != nil {
		return nil, err
	}
	t.memoryRow("the node", m, 1)
	kinds, err := b.kinds("memory")
	if err != nil {
		return nil, err
	}
	for i, k := range kinds {
		m, err := b.environments(ctx, fmt.Sprintf("memory-%d", i), k, alike)
		if err != nil {
			return nil, err
		}
		t.memoryRow("environment of "+k.name, m, alike)
	}
	return t, nil
}

func (t *Table) memoryRow(name string, m memory, n float64) {
	const mb = 1 << 20
	t.row(name, map[string]float64{"resident": m.resident / mb / n, "proportional": m.proportional / mb / n, "private": m.private / mb / n})
}

// environments starts n environments, each of a function of its own, and sums
// their memory up.
func (b *bench) environments(ctx context.Context, name string, k kind, n int) (sum memory, err error) {
	before, err := below(b.running.pid)
	if err != nil {
		return sum, err
	}
	for i := range n {
		f := fmt.Sprintf("%s-%d", name, i)
		if err := b.running.deploy(ctx, f, k); err != nil {
			return sum, err
		}
		if _, err := b.running.call(ctx, f); err != nil {
			return sum, err
		}
	}
	after, err := below(b.running.pid)
	if err != nil {
		return sum, err
	}
	after = slices.DeleteFunc(after, func(pid int) bool { return slices.Contains(before, pid) })
	if len(after) != n {
		return sum, fmt.Errorf("%d environments run as %d processes", n, len(after))
	}
	for _, pid := range after {
		m, err := memoryOf(pid)
		if err != nil {
			return sum, err
		}
		sum.resident += m.resident
		sum.proportional += m.proportional
		sum.private += m.private
	}
	for i := range n {
		if err := b.running.DeleteFunction(ctx, fmt.Sprintf("%s-%d", name, i)); err != nil {
			return sum, err
		}
	}
	return sum, nil
}
