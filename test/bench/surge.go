package main

import (
	"context"
	"fmt"
	"time"
)

const (
	steadyRate = 1000
	burstCalls = 200
)

// steady sends requests to a Node.js function at a steady rate, from nothing, and
// then again while its environments are warm.
func (b *bench) steady(ctx context.Context) (*Table, error) {
	kinds, err := b.kinds("steady")
	if err != nil {
		return nil, err
	}
	at, err := b.running.publish(ctx, "steady", kinds[0])
	if err != nil {
		return nil, err
	}
	span := 10 * time.Second
	if b.quick {
		span = 2 * time.Second
	}
	t := &Table{
		Title: fmt.Sprintf("%d requests a second on one Node.js function, times counted from when each was due", steadyRate),
		Columns: []Column{
			{"requests", ""}, {"errors", ""}, {"p50", "ms"}, {"p99", "ms"}, {"slowest", "ms"}, {"environments", ""},
		},
	}
	p99 := map[string]time.Duration{}
	failures, fault := 0, error(nil)
	for _, name := range []string{"from nothing", "warm"} {
		found, err := load(ctx, at, work{connections: 2 * burstCalls, duration: span, rate: steadyRate})
		if err != nil {
			return nil, err
		}
		list, err := b.running.Environments(ctx, "steady")
		if err != nil {
			return nil, err
		}
		p99[name] = quantile(found.latencies, 0.99)
		if failures += found.failures; fault == nil {
			fault = found.fault
		}
		t.row(name, map[string]float64{
			"requests": float64(len(found.latencies) + found.failures), "errors": float64(found.failures),
			"p50": milliseconds(median(found.latencies)), "p99": milliseconds(p99[name]),
			"slowest": milliseconds(quantile(found.latencies, 1)), "environments": float64(len(list)),
		})
	}
	errors := b.atMost("steady-errors", "steady start 0 to 1,000 requests a second on one Node.js function: errors", "", float64(failures), 0)
	if fault != nil {
		errors.Note = "the first one: " + fault.Error()
	}
	b.atMost("steady-p99", "the same: p99 to the warm p99", "×", float64(p99["from nothing"])/float64(p99["warm"]), 5)
	return t, b.running.DeleteFunction(ctx, "steady")
}

// burst sends calls all at once to a Node.js function that has no environment.
func (b *bench) burst(ctx context.Context) (*Table, error) {
	kinds, err := b.kinds("burst")
	if err != nil {
		return nil, err
	}
	f, err := b.running.fresh(ctx, "burst", kinds[0])
	if err != nil {
		return nil, err
	}
	var latencies []time.Duration
	var calls []phases
	failures, started := 0, 0
	for range b.rounds(4) {
		if err := f.renew(ctx); err != nil {
			return nil, err
		}
		found, err := load(ctx, f.at, work{connections: burstCalls, requests: burstCalls, timing: true})
		if err != nil {
			return nil, err
		}
		list, err := b.running.Environments(ctx, f.name)
		if err != nil {
			return nil, err
		}
		started += len(list)
		failures += found.failures
		latencies = append(latencies, found.latencies...)
		for _, timing := range found.timings {
			calls = append(calls, parsePhases(timing))
		}
	}
	t := &Table{
		Title:   fmt.Sprintf("A burst of %d calls at once to a Node.js function without an environment; each phase's own quantile", burstCalls),
		Columns: append([]Column{{"call", "ms"}}, phaseColumns()...),
	}
	for _, q := range []float64{0.5, 0.9, 0.99} {
		values := map[string]float64{"call": milliseconds(quantile(latencies, q))}
		phaseValues(values, calls, q)
		t.row(fmt.Sprintf("p%.0f", 100*q), values)
	}
	g := b.known("burst", "burst 0 to 200 concurrent calls to one Node.js function: p99", "ms", milliseconds(quantile(latencies, 0.99)))
	g.Note = fmt.Sprintf("%d errors, %d environments a burst", failures, started/b.rounds(4))
	return t, b.running.DeleteFunction(ctx, f.name)
}
