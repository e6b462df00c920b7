package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
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

// start times a node from exec to /readyz and reads its memory a little later: its
// first start on an empty directory, and starts with functions in it.
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
	resident := make([][]float64, 2)
	empty := func(ctx context.Context) (time.Duration, error) {
		n++
		return b.startOn(ctx, filepath.Join(b.dir, fmt.Sprintf("empty-%d", n)), &resident[0])
	}
	again := func(ctx context.Context) (time.Duration, error) { return b.startOn(ctx, full, &resident[1]) }
	times, err := interleave(ctx, b.rounds(6), empty, again)
	if err != nil {
		return nil, err
	}
	t := &Table{
		Title:   "Start of a node, from exec to /readyz, and its memory a second later",
		Columns: []Column{{"p50", "ms"}, {"slowest", "ms"}, {"resident", "MB"}},
	}
	for i, name := range []string{"first start, empty data directory", fmt.Sprintf("restart with %d functions", functions)} {
		slices.Sort(resident[i])
		t.row(name, map[string]float64{
			"p50": milliseconds(median(times[i])), "slowest": milliseconds(quantile(times[i], 1)), "resident": resident[i][len(resident[i])/2],
		})
	}
	over := t.Rows[1].Values["resident"] - t.Rows[0].Values["resident"]
	b.atMost("functions-memory", "node with 1,000 deployed idle functions: resident memory over an empty node", "MB", over, 50)
	b.atMost("functions-start", "the same: start time", "ms", milliseconds(median(times[1])), 2000)
	return t, nil
}

// startOn starts a node and appends its resident memory in MB to resident.
func (b *bench) startOn(ctx context.Context, dir string, resident *[]float64) (time.Duration, error) {
	n, err := startNode(ctx, b.binary, dir)
	if err != nil {
		return 0, err
	}
	err = pause(ctx, time.Second)
	if err == nil {
		var m memory
		m, err = memoryOf(n.pid)
		*resident = append(*resident, m.resident/(1<<20))
	}
	return n.started, errors.Join(err, n.stop())
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
