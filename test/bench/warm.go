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
	pid  int // whose processor time counts: the server's or the node's
	// platform says that the node serves it.
	platform bool
}

// warm loads function URLs and direct servers in turns.
func (b *bench) warm(ctx context.Context) (_ *Table, err error) {
	list, stop, err := b.contenders(ctx)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	defer func() { err = errors.Join(err, stop()) }()
	t := &Table{
		Title: "Warm invocations through a function URL, against direct HTTP servers",
		Columns: []Column{
			{"connections", ""},
			{"p50", "µs"},
			{"p99", "µs"},
			{"rate", "/s"},
			{"processor a request", "µs"},
			{"rate to Go's", "×"},
			{"rate to Node.js's", "×"},
		},
	}
	for _, connections := range []int{1, 32} {
		if err := b.warmWith(ctx, t, list, connections); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// contenders starts the direct servers and deploys the functions. stop is never
// nil.
func (b *bench) contenders(ctx context.Context) (list []contender, stop func() error, err error) {
	var servers []*direct
	stop = func() error {
		for _, s := range servers {
			s.stop()
		}
		return nil
	}
	script, err := b.write("testdata/server.js")
	if err != nil {
		return nil, stop, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, stop, err
	}
	for _, d := range []struct{ name, program, argument string }{
		{goServer, self, serveArgument},
		{nodeServer, b.node.Path, script},
	} {
		s, err := startDirect(ctx, d.program, d.argument)
		if err != nil {
			return nil, stop, err
		}
		servers = append(servers, s)
		list = append(list, contender{target: s.target, name: d.name, pid: s.pid})
	}
	kinds, err := b.kinds("warm")
	if err != nil {
		return nil, stop, err
	}
	for i, k := range kinds {
		host, err := b.running.publish(ctx, fmt.Sprintf("warm-%d", i), k)
		if err != nil {
			return nil, stop, err
		}
		list = append(list, contender{
			target: target{b.running.gateway, host}, name: "mayfly, " + k.name, pid: b.running.pid, platform: true,
		})
	}
	return list, stop, nil
}

const (
	goServer   = "direct, Go net/http"
	nodeServer = "direct, Node.js http"
)

// warmWith adds the rows for a number of connections.
func (b *bench) warmWith(ctx context.Context, t *Table, list []contender, connections int) error {
	const slice = 400 * time.Millisecond
	type tally struct {
		latencies            []time.Duration
		processor, intervals []time.Duration // a request, of each burst
	}
	tallies := make([]tally, len(list))
	for round := range b.rounds(8) + 1 {
		for i, c := range list {
			before, err := processorTime(c.pid)
			if err != nil {
				return err
			}
			burst, err := load(ctx, c.target, connections, slice)
			if err != nil {
				return fmt.Errorf("%s with %d connections: %w", c.name, connections, err)
			}
			after, err := processorTime(c.pid)
			if err != nil {
				return err
			}
			if round == 0 { // environments start, code is compiled
				continue
			}
			n := time.Duration(len(burst.latencies))
			s := &tallies[i]
			s.latencies = append(s.latencies, burst.latencies...)
			s.processor = append(s.processor, (after-before)/n)
			s.intervals = append(s.intervals, burst.elapsed/n)
		}
	}
	perRequest := map[string]time.Duration{}
	for i, c := range list {
		perRequest[c.name] = median(tallies[i].intervals)
	}
	for i, c := range list {
		s := &tallies[i]
		own := perRequest[c.name]
		values := map[string]float64{
			"connections": float64(connections), "p50": microseconds(median(s.latencies)), "p99": microseconds(quantile(s.latencies, 0.99)),
			"rate": 1 / own.Seconds(), "processor a request": microseconds(median(s.processor)),
		}
		if c.platform {
			values["rate to Go's"] = float64(perRequest[goServer]) / float64(own)
			values["rate to Node.js's"] = float64(perRequest[nodeServer]) / float64(own)
		}
		t.row(c.name, values)
	}
	return nil
}
