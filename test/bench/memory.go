package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mayfly.dev/mayfly/internal/api/native/wire"
)

const (
	// alike is how many environments of a kind share what they can.
	alike = 8
	// reclaimTime is how long after its last call a node may take to have reclaimed
	// the memory of an environment.
	reclaimTime = 16 * time.Second
	frozen      = "frozen"
)

// crowd is environments of one kind.
type crowd struct {
	name      string
	functions []string
	pids      []int
}

// memory reads what a node that has served a little and idle environments take, and
// the environments again after they were frozen and their memory reclaimed. The
// node keeps no runtimes started, so that each of its children is an environment's.
func (b *bench) memory(ctx context.Context) (_ *Table, err error) {
	n, err := startNode(ctx, b.binary, filepath.Join(b.dir, "memory"), "MAYFLY_STEMS=off", "MAYFLY_UID_BASE=800000")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	kinds, err := b.kinds("memory")
	if err != nil {
		return nil, err
	}
	var crowds []crowd
	for i, k := range kinds {
		c, err := n.crowd(ctx, k.name, func(ctx context.Context) ([]string, error) { return n.apart(ctx, fmt.Sprintf("memory-%d", i), k) })
		if err != nil {
			return nil, err
		}
		crowds = append(crowds, c)
	}
	scaled, err := n.crowd(ctx, kinds[1].name+", one function", func(ctx context.Context) ([]string, error) { return b.together(ctx, n) })
	if err != nil {
		return nil, err
	}
	crowds = append(crowds, scaled)
	t := &Table{
		Title: fmt.Sprintf("Memory of idle processes; environments with %d alike at once", alike),
		Columns: []Column{
			{"resident", "MB"}, {"proportional", "MB"}, {"private", "MB"}, {"processes", ""}, {"frozen", ""},
		},
	}
	own, err := memoryOf(n.pid)
	if err != nil {
		return nil, err
	}
	t.memoryRow("the node", []memory{own}, nil)
	for _, c := range crowds {
		if _, err := n.crowdRow(ctx, t, "environment of "+c.name, c); err != nil {
			return nil, err
		}
	}
	if err := pause(ctx, reclaimTime); err != nil {
		return nil, err
	}
	for i, c := range crowds {
		r, err := n.crowdRow(ctx, t, "the same after a rest: "+c.name, c)
		if err != nil {
			return nil, err
		}
		switch i {
		case 0:
			r.goal(b.atMost("memory-node", "private memory of a frozen idle hello environment after reclaim, Node.js", "MB", r.private, 10))
		case len(crowds) - 1:
			r.goal(b.atMost("memory-python", "the same, Python, of a function that has scaled out", "MB", r.private, 2))
		}
	}
	return t, nil
}

// crowd runs start, which returns the functions whose environments it started.
func (n *node) crowd(ctx context.Context, name string, start func(context.Context) ([]string, error)) (c crowd, err error) {
	before, err := below(n.pid)
	if err != nil {
		return c, err
	}
	c.name = name
	if c.functions, err = start(ctx); err != nil {
		return c, err
	}
	if c.pids, err = below(n.pid); err != nil {
		return c, err
	}
	c.pids = slices.DeleteFunc(c.pids, func(pid int) bool { return slices.Contains(before, pid) })
	return c, nil
}

// apart starts environments of a function each.
func (n *node) apart(ctx context.Context, name string, k kind) (functions []string, err error) {
	for i := range alike {
		f := fmt.Sprintf("%s-%d", name, i)
		if err := n.deploy(ctx, f, k); err != nil {
			return nil, err
		}
		if _, err := n.call(ctx, f); err != nil {
			return nil, err
		}
		functions = append(functions, f)
	}
	return functions, nil
}

// together starts environments of one Python function, all but the first by
// scaling out.
func (b *bench) together(ctx context.Context, n *node) ([]string, error) {
	const name = "memory-scaled"
	zip, err := b.packImporter(imports(0))
	if err != nil {
		return nil, err
	}
	at, err := n.publish(ctx, name, kind{name, wire.Settings{Runtime: pythonRuntime, Handler: "app.handler", MemoryMB: memoryMB}, zip})
	if err != nil {
		return nil, err
	}
	if _, _, err := once(ctx, at, "/"); err != nil {
		return nil, err
	}
	if err := pause(ctx, settle); err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	for range alike {
		group.Go(func() error {
			_, _, err := once(ctx, at, "/?"+holdSeconds)
			return err
		})
	}
	return []string{name}, group.Wait()
}

// rest is what was found of a crowd.
type rest struct {
	private      float64 // of the process in the middle, in MB
	environments int
	frozen       int
}

// goal says of a goal if the environments are not frozen.
func (r rest) goal(g *Goal) {
	if r.frozen < r.environments {
		g.Missing = fmt.Sprintf("%d of %d environments are frozen", r.frozen, r.environments)
	}
}

// crowdRow adds the row of a crowd.
func (n *node) crowdRow(ctx context.Context, t *Table, name string, c crowd) (r rest, err error) {
	for _, f := range c.functions {
		list, err := n.Environments(ctx, f)
		if err != nil {
			return r, err
		}
		for _, e := range list {
			r.environments++
			if e.State == frozen {
				r.frozen++
			}
		}
	}
	var all []memory
	for _, pid := range c.pids {
		m, err := memoryOf(pid)
		if err != nil {
			return r, fmt.Errorf("a process of %s has gone: %w", c.name, err)
		}
		all = append(all, m)
	}
	values := map[string]float64{"processes": float64(len(c.pids)), "frozen": float64(r.frozen)}
	r.private = t.memoryRow(name, all, values)
	return r, nil
}

// memoryRow adds the medians of processes and returns that of the private memory.
func (t *Table) memoryRow(name string, all []memory, values map[string]float64) (private float64) {
	middle := func(of func(memory) float64) float64 {
		list := make([]float64, len(all))
		for i, m := range all {
			list[i] = of(m) / (1 << 20)
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	if values == nil {
		values = map[string]float64{}
	}
	private = middle(func(m memory) float64 { return m.private })
	values["private"] = private
	values["resident"] = middle(func(m memory) float64 { return m.resident })
	values["proportional"] = middle(func(m memory) float64 { return m.proportional })
	t.row(name, values)
	return private
}
