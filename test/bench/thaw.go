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
// just served another, both on a connection that is open.
func (b *bench) thaw(ctx context.Context) (*Table, error) {
	kinds, err := b.kinds("thaw")
	if err != nil {
		return nil, err
	}
	t := &Table{
		Title:   "The first call of a frozen environment over an open connection, against one to a running environment",
		Columns: []Column{{"running", "ms"}, {"frozen", "ms"}, {"over", "ms"}},
	}
	for i, k := range kinds {
		name := fmt.Sprintf("thaw-%d", i)
		at, err := b.running.publish(ctx, name, k)
		if err != nil {
			return nil, err
		}
		froze := true
		first := func(ctx context.Context) (time.Duration, error) {
			state, err := b.running.await(ctx, name, frozen, freezeTime)
			froze = froze && state
			if err != nil || !froze {
				return 0, err
			}
			return b.running.single(ctx, at)
		}
		running := func(ctx context.Context) (time.Duration, error) {
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return 0, err
			}
			return b.running.single(ctx, at)
		}
		if _, err := b.running.single(ctx, at); err != nil {
			return nil, err
		}
		rounds := b.rounds(10)
		if state, err := b.running.await(ctx, name, frozen, freezeTime); err != nil {
			return nil, err
		} else if !state {
			froze, rounds = false, 0
		}
		times, err := interleave(ctx, rounds, first, running)
		if err != nil {
			return nil, err
		}
		x, y := milliseconds(median(times[1])), milliseconds(median(times[0]))
		if froze {
			t.row(k.name, map[string]float64{"running": x, "frozen": y, "over": y - x})
		}
		if i > 0 {
			continue
		}
		if g := b.atMost("thaw", "thaw and first answer of a frozen environment over HTTP, Node.js", "ms", y, 0.3); !froze {
			g.Missing = "the environment was not frozen"
		}
	}
	return t, nil
}

// single is one call over a connection that is open already.
func (n *node) single(ctx context.Context, at target) (time.Duration, error) {
	found, err := flawless(ctx, at, work{connections: 1, requests: 1})
	if err != nil {
		return 0, err
	}
	return found.latencies[0], nil
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
