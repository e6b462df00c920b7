package main

import (
	"context"
	"fmt"
	"time"
)

// freezeTime is how long after its last call a node may take to freeze an
// environment.
const freezeTime = 6 * time.Second

// thaw compares a call to a frozen environment with one to an environment that has
// just served another, and with one to a direct server that has had as long a rest;
// all on connections that are open.
func (b *bench) thaw(ctx context.Context) (*Table, error) {
	kinds, err := b.kinds("thaw")
	if err != nil {
		return nil, err
	}
	t := &Table{
		Title:   "The first call of a frozen environment over an open connection, against one to a running environment and to a direct server after a rest",
		Columns: []Column{{"direct Node.js", "ms"}, {"running", "ms"}, {"frozen", "ms"}, {"over running", "ms"}},
	}
	script, err := b.write("testdata/server.js")
	if err != nil {
		return nil, err
	}
	server, err := startDirect(ctx, b.node.Path, script)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	for i, k := range kinds {
		times, err := b.thawOf(ctx, fmt.Sprintf("thaw-%d", i), k, server.target)
		if err != nil {
			return nil, err
		}
		first, running, direct := milliseconds(median(times[0])), milliseconds(median(times[1])), milliseconds(median(times[2]))
		if len(times[0]) > 0 {
			t.row(k.name, map[string]float64{"direct Node.js": direct, "running": running, "frozen": first, "over running": first - running})
		}
		if i > 0 {
			continue
		}
		g := b.atMost("thaw", "thaw and first answer of a frozen environment over HTTP, Node.js, above a direct server's after the same rest", "ms", first-direct, 0.3)
		g.Note = fmt.Sprintf("%.2f ms against %.2f", first, direct)
		if len(times[0]) == 0 {
			g.Note, g.Missing = "", "the environment was not frozen"
		}
	}
	return t, nil
}

// thawOf returns the times of calls to a frozen environment, to a running one and to
// a direct server; none if the node does not freeze it.
func (b *bench) thawOf(ctx context.Context, name string, k kind, direct target) (times [][]time.Duration, err error) {
	at, err := b.running.publish(ctx, name, k)
	if err != nil {
		return nil, err
	}
	call, closeCall, err := openCall(ctx, at)
	if err != nil {
		return nil, err
	}
	defer closeCall()
	bare, closeBare, err := openCall(ctx, direct)
	if err != nil {
		return nil, err
	}
	defer closeBare()
	afterFreeze := func(ctx context.Context) (time.Duration, error) {
		froze, err := b.running.await(ctx, name, frozen, freezeTime)
		if err == nil && !froze {
			err = fmt.Errorf("an environment of %s is not frozen any more after %s", name, freezeTime)
		}
		if err != nil {
			return 0, err
		}
		return call(ctx)
	}
	running := func(ctx context.Context) (time.Duration, error) {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
		return call(ctx)
	}
	if _, err := call(ctx); err != nil {
		return nil, err
	}
	if froze, err := b.running.await(ctx, name, frozen, freezeTime); err != nil || !froze {
		return make([][]time.Duration, 3), err
	}
	return interleave(ctx, b.rounds(12), afterFreeze, running, bare)
}

// openCall opens a connection and returns the contestant that makes one call on it.
func openCall(ctx context.Context, to target) (call contestant, closeCall func(), err error) {
	conn, err := dial(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	hello := request(to, "/", false)
	return func(ctx context.Context) (time.Duration, error) {
		begun := time.Now()
		_, err := exchange(ctx, conn, hello)
		return time.Since(begun), err
	}, func() { _ = conn.Close() }, nil // nothing is left to lose
}

// await waits until an environment of a function is in a state, and reports
// whether one is in time.
func (n *node) await(ctx context.Context, name, state string, limit time.Duration) (bool, error) {
	for begun := time.Now(); time.Since(begun) < limit; {
		list, err := n.Environments(ctx, name)
		if err != nil {
			return false, err
		}
		for _, e := range list {
			if e.State == state {
				return true, nil
			}
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return false, err
		}
	}
	return false, nil
}
