package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
)

// deploy times a new function with new code, from the upload to Active, and a
// change of settings.
func (b *bench) deploy(ctx context.Context) (*Table, error) {
	t := &Table{Title: "Deployments, until calls run what was deployed", Columns: []Column{{"p50", "ms"}, {"p90", "ms"}}}
	n := 0
	var created kind
	create := func(ctx context.Context) (time.Duration, error) {
		n++
		kinds, err := b.kinds(fmt.Sprintf("deploy %d", n))
		if err != nil {
			return 0, err
		}
		created = kinds[0]
		begun := time.Now()
		err = b.running.deploy(ctx, fmt.Sprintf("deploy-%d", n), created)
		return time.Since(begun), err
	}
	update := func(ctx context.Context) (time.Duration, error) {
		settings := created.settings
		settings.Description = "changed"
		begun := time.Now()
		_, _, err := b.running.PutFunction(ctx, fmt.Sprintf("deploy-%d", n), wire.FunctionSpec{Settings: settings}, client.PutOptions{})
		return time.Since(begun), err
	}
	times, err := interleave(ctx, b.rounds(20), create, update)
	if err != nil {
		return nil, err
	}
	for i, name := range []string{"new function with new code", "changed settings"} {
		t.row(name, map[string]float64{"p50": milliseconds(median(times[i])), "p90": milliseconds(quantile(times[i], 0.9))})
	}
	return t, nil
}

// start times a node from exec to /readyz: its first start on an empty directory,
// and starts with functions in it.
func (b *bench) start(ctx context.Context) (*Table, error) {
	functions := 1000
	if b.quick {
		functions = 100
	}
	full := filepath.Join(b.dir, "full")
	if err := b.fill(ctx, full, functions); err != nil {
		return nil, err
	}
	n := 0
	empty := func(ctx context.Context) (time.Duration, error) {
		n++
		return b.startOn(ctx, filepath.Join(b.dir, fmt.Sprintf("empty-%d", n)))
	}
	again := func(ctx context.Context) (time.Duration, error) { return b.startOn(ctx, full) }
	times, err := interleave(ctx, b.rounds(8), empty, again)
	if err != nil {
		return nil, err
	}
	t := &Table{Title: "Start of a node, from exec to /readyz", Columns: []Column{{"p50", "ms"}, {"slowest", "ms"}}}
	for i, name := range []string{"first start, empty data directory", fmt.Sprintf("restart with %d functions", functions)} {
		t.row(name, map[string]float64{"p50": milliseconds(median(times[i])), "slowest": milliseconds(quantile(times[i], 1))})
	}
	return t, nil
}

func (b *bench) startOn(ctx context.Context, dir string) (time.Duration, error) {
	n, err := startNode(ctx, b.binary, dir)
	if err != nil {
		return 0, err
	}
	return n.started, n.stop()
}

// fill makes a data directory with functions in it.
func (b *bench) fill(ctx context.Context, dir string, functions int) error {
	n, err := startNode(ctx, b.binary, dir)
	if err != nil {
		return err
	}
	kinds, err := b.kinds("fill")
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range functions {
		group.Go(func() error {
			return n.deploy(ctx, fmt.Sprintf("function-%d", i), kinds[i%2])
		})
	}
	if err := group.Wait(); err != nil {
		_ = n.stop() // the first failure is the cause
		return err
	}
	return n.stop()
}
