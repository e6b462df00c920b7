package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// contender is a server in the warm comparison.
type contender struct {
	target
	name string
	pid  int // the root of its processes
	// platform says that the node serves it.
	platform bool
}

const (
	goServer     = "direct, Go net/http"
	nodeServer   = "direct, Node.js http"
	nodeWatchdog = "watchdog (Go reverse proxy), Node.js http"
	workerd      = "workerd, JavaScript isolate"
	few, many    = 1, 32 // connections
)

// warm loads function URLs, direct servers and peers in turns.
func (b *bench) warm(ctx context.Context) (_ *Table, err error) {
	list, stop, err := b.contenders(ctx)
	defer stop()
	if err != nil {
		return nil, err
	}
	t := &Table{
		Title: "Warm invocations through a function URL, against direct HTTP servers and peers",
		Columns: []Column{
			{"connections", ""},
			{"p50", "µs"},
			{"p99", "µs"},
			{"rate", "/s"},
			{"processor a request", "µs"},
			{"of that the node", "µs"},
			{"rate to Node.js's", "×"},
			{"processor to Node.js's", "×"},
		},
	}
	alone, err := b.warmWith(ctx, t, list, few)
	if err != nil {
		return nil, err
	}
	together, err := b.warmWith(ctx, t, list, many)
	if err != nil {
		return nil, err
	}
	b.warmGoals(list, alone, together)
	return t, nil
}

func (b *bench) warmGoals(list []contender, alone, together map[string]*tally) {
	var ours string // the function in Node.js is the first of the platform's
	for _, c := range list {
		if c.platform {
			ours = c.name
			break
		}
	}
	added := milliseconds(alone[ours].p50() - alone[nodeServer].p50())
	b.atMost("warm-added", "warm invoke over HTTP, 1 connection, Node.js: p50 added to a bare Node.js HTTP server", "ms", added, 0.12)
	b.atLeast("warm-rate", "warm rate over HTTP, 32 connections, Node.js, to a bare Node.js HTTP server's", "×",
		together[ours].rate()/together[nodeServer].rate(), 0.4)
	b.atMost("warm-processor", "processor time of the whole process tree a warm request, 32 connections, Node.js, to the bare server's", "×",
		float64(together[ours].whole())/float64(together[nodeServer].whole()), 3)
	b.atLeast("warm-watchdog", "the same rate to a watchdog's", "×", together[ours].rate()/together[nodeWatchdog].rate(), 1.5).Note = "a reverse proxy of Go's standard library in front of the bare server"
	w := b.known("warm-workerd", "the same rate to workerd's", "×", 0)
	w.Note = "isolates in one process"
	if _, ok := together[workerd]; ok {
		w.Measured = together[ours].rate() / together[workerd].rate()
	} else {
		w.Missing = errNoWorkerd.Error()
	}
}

// contenders starts the direct servers and the peers, and deploys the functions.
// stop is never nil.
func (b *bench) contenders(ctx context.Context) (list []contender, stop func(), err error) {
	var servers []*direct
	stop = func() {
		for _, s := range servers {
			s.stop()
		}
	}
	script, err := b.write("testdata/server.js")
	if err != nil {
		return nil, stop, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, stop, err
	}
	add := func(name string, s *direct, err error) error {
		if err != nil {
			return err
		}
		servers = append(servers, s)
		list = append(list, contender{target: s.target, name: name, pid: s.pid})
		return nil
	}
	for _, d := range []struct {
		name, program string
		args          []string
	}{
		{goServer, self, []string{serveArgument}},
		{nodeServer, b.node.Path, []string{script}},
		{nodeWatchdog, self, []string{watchdogArgument, b.node.Path, script}},
	} {
		s, err := startDirect(ctx, d.program, d.args...)
		if err := add(d.name, s, err); err != nil {
			return nil, stop, err
		}
	}
	s, err := b.startWorkerd(ctx)
	if err := add(workerd, s, err); err != nil && !errors.Is(err, errNoWorkerd) {
		return nil, stop, err
	}
	kinds, err := b.kinds("warm")
	if err != nil {
		return nil, stop, err
	}
	for i, k := range kinds {
		at, err := b.running.publish(ctx, fmt.Sprintf("warm-%d", i), k)
		if err != nil {
			return nil, stop, err
		}
		list = append(list, contender{target: at, name: "mayfly, " + k.name, pid: b.running.pid, platform: true})
	}
	return list, stop, nil
}

// tally is what the loads of one contender found.
type tally struct {
	latencies []time.Duration
	intervals []time.Duration // a request, of each load
	// The processor time of its first process and of all.
	processor, processors time.Duration
}

func (t *tally) p50() time.Duration { return median(t.latencies) }

func (t *tally) rate() float64 { return 1 / median(t.intervals).Seconds() }

// own and whole are the processor time of a request.
func (t *tally) own() time.Duration   { return t.processor / time.Duration(len(t.latencies)) }
func (t *tally) whole() time.Duration { return t.processors / time.Duration(len(t.latencies)) }

// add loads a contender once.
func (t *tally) add(ctx context.Context, c contender, w work) error {
	ownBefore, wholeBefore, err := processorTime(c.pid)
	if err != nil {
		return err
	}
	found, err := flawless(ctx, c.target, w)
	if err != nil {
		return fmt.Errorf("%s with %d connections: %w", c.name, w.connections, err)
	}
	own, whole, err := processorTime(c.pid)
	if err != nil {
		return err
	}
	t.latencies = append(t.latencies, found.latencies...)
	t.intervals = append(t.intervals, found.elapsed/time.Duration(len(found.latencies)))
	t.processor += own - ownBefore
	t.processors += whole - wholeBefore
	return nil
}

// warmWith adds the rows for a number of connections.
func (b *bench) warmWith(ctx context.Context, t *Table, list []contender, connections int) (map[string]*tally, error) {
	const slice = 400 * time.Millisecond
	tallies := map[string]*tally{}
	for round := range b.rounds(8) + 1 {
		for _, c := range list {
			if round <= 1 { // in the first one environments start and code is compiled
				tallies[c.name] = &tally{}
			}
			if err := tallies[c.name].add(ctx, c, work{connections: connections, duration: slice}); err != nil {
				return nil, err
			}
		}
	}
	for _, c := range list {
		s := tallies[c.name]
		values := map[string]float64{
			"connections": float64(connections), "p50": microseconds(s.p50()), "p99": microseconds(quantile(s.latencies, 0.99)),
			"rate": s.rate(), "processor a request": microseconds(s.whole()),
			"rate to Node.js's":      s.rate() / tallies[nodeServer].rate(),
			"processor to Node.js's": float64(s.whole()) / float64(tallies[nodeServer].whole()),
		}
		if c.platform {
			values["of that the node"] = microseconds(s.own())
		}
		t.row(c.name, values)
	}
	return tallies, nil
}
