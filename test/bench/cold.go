package main

import (
	"context"
	"fmt"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
)

// cold compares the first call of a fresh environment with the bare runtime that
// starts and prints a line. A change of settings makes the environment fresh.
func (b *bench) cold(ctx context.Context) (*Table, error) {
	kinds, err := b.kinds("cold")
	if err != nil {
		return nil, err
	}
	t := &Table{
		Title: "Cold starts: the first call of a fresh environment, against the bare runtime printing a line",
		Columns: []Column{
			{"bare", "ms"},
			{"call", "ms"},
			{"over", "ms"},
			{"ratio", "×"},
			{"queue", "ms"},
			{"sandbox", "ms"},
			{"init", "ms"},
			{"handler", "ms"},
		},
	}
	runtimes := []contestant{
		bare(b.node.Path, "-e", `console.log("hello")`),
		bare(b.python.Path, "-c", `print("hello")`),
		bare(b.goHello, "print"),
	}
	for i, k := range kinds {
		if err := b.coldOf(ctx, t, k, fmt.Sprintf("cold-%d", i), runtimes[i]); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (b *bench) coldOf(ctx context.Context, t *Table, k kind, name string, runtime contestant) error {
	if err := b.running.deploy(ctx, name, k); err != nil {
		return err
	}
	var records []wire.Record
	first := func(ctx context.Context) (time.Duration, error) {
		if err := b.renew(ctx, name, k.settings, len(records)); err != nil {
			return 0, err
		}
		begun := time.Now()
		res, err := b.running.call(ctx, name)
		if err != nil {
			return 0, err
		}
		took := time.Since(begun)
		if !res.ColdStart {
			return 0, fmt.Errorf("a call of %s that should be cold was warm", name)
		}
		r, err := b.running.record(ctx, res.RequestID)
		records = append(records, r)
		return took, err
	}
	times, err := interleave(ctx, b.rounds(20), runtime, first)
	if err != nil {
		return err
	}
	phase := func(of func(wire.Record) float64) float64 {
		var list []time.Duration
		for _, r := range records[1:] { // without the warm-up
			list = append(list, time.Duration(of(r)*float64(time.Millisecond)))
		}
		return milliseconds(median(list))
	}
	x, y := milliseconds(median(times[0])), milliseconds(median(times[1]))
	t.row(k.name, map[string]float64{
		"bare": x, "call": y, "over": y - x, "ratio": y / x,
		"queue":   phase(func(r wire.Record) float64 { return r.QueueMs }),
		"sandbox": phase(func(r wire.Record) float64 { return r.SandboxMs }),
		"init":    phase(func(r wire.Record) float64 { return r.InitMs }),
		"handler": phase(func(r wire.Record) float64 { return r.DurationMs }),
	})
	return nil
}

// renew changes a function, so that its environments end, and waits for that.
func (b *bench) renew(ctx context.Context, name string, settings wire.Settings, round int) error {
	settings.Description = fmt.Sprintf("round %d", round)
	if _, _, err := b.running.PutFunction(ctx, name, wire.FunctionSpec{Settings: settings}, client.PutOptions{}); err != nil {
		return err
	}
	if err := b.running.gone(ctx, name); err != nil {
		return err
	}
	// What the node keeps ready for the next start is made again meanwhile.
	return pause(ctx, 30*time.Millisecond)
}
