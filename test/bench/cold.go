package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
)

// refill is how long the node has between two cold calls, so that the second finds
// what a node keeps ready unless calls come faster than that.
const refill = 250 * time.Millisecond

// cold compares the first call of a fresh environment over HTTP with the bare
// runtime that starts, runs a hello program and prints its first byte; on a node as
// it is and on one that keeps no runtimes started. A change of settings makes the
// environment fresh.
func (b *bench) cold(ctx context.Context) (_ *Table, err error) {
	stemless, err := startNode(ctx, b.binary, filepath.Join(b.dir, "stemless"), "MAYFLY_STEMS=off", "MAYFLY_UID_BASE=800000")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stemless.stop()) }()
	kinds, err := b.kinds("cold")
	if err != nil {
		return nil, err
	}
	runtimes, err := b.bareHellos()
	if err != nil {
		return nil, err
	}
	t := &Table{
		Title: "Cold starts over HTTP: the first call of a fresh environment, against the bare runtime running a hello program",
		Columns: append([]Column{
			{"bare", "ms"}, {"call", "ms"}, {"over", "ms"}, {"ratio", "×"}, {"calls with a stem", "×"},
		}, phaseColumns()...),
	}
	for i, k := range kinds {
		name := fmt.Sprintf("cold-%d", i)
		with, err := b.running.fresh(ctx, name, k)
		if err != nil {
			return nil, err
		}
		contestants := []contestant{runtimes[i], with.call}
		var without *fresh
		if k.settings.Runtime != goRuntime { // there are no stems of it
			if without, err = stemless.fresh(ctx, name, k); err != nil {
				return nil, err
			}
			contestants = append(contestants, without.call)
		}
		times, err := interleave(ctx, b.rounds(20), contestants...)
		if err != nil {
			return nil, err
		}
		bare := median(times[0])
		with.row(t, k.name, bare, median(times[1]))
		if without != nil {
			without.row(t, k.name+", stems off", bare, median(times[2]))
		}
		b.coldGoals(k, times, with)
	}
	return t, nil
}

func (b *bench) coldGoals(k kind, times [][]time.Duration, with *fresh) {
	bare, call := median(times[0]), median(times[1])
	ratio := float64(call) / float64(bare)
	switch k.settings.Runtime {
	case nodeRuntime:
		with.needStems(b.atMost("cold-node", "cold invoke over HTTP, Node.js, a stem ready, to bare `node hello.js`", "×", ratio, 0.15))
		b.atMost("cold-node-stemless", "the same without stems", "×", float64(median(times[2]))/float64(bare), 1.15)
	case pythonRuntime:
		with.needStems(b.atMost("cold-python", "cold invoke over HTTP, Python, a stem ready, to bare `python3 hello.py`", "×", ratio, 0.4))
	case goRuntime:
		b.atMost("cold-go", "cold invoke over HTTP, static Go binary on the Runtime API, above its bare start", "ms", milliseconds(call-bare), 6)
	}
}

// bareHellos are the bare programs, in the order of the kinds.
func (b *bench) bareHellos() ([]contestant, error) {
	script, err := b.write("testdata/hello.js")
	if err != nil {
		return nil, err
	}
	module, err := b.write("testdata/hello.py")
	if err != nil {
		return nil, err
	}
	return []contestant{bare(b.node.Path, script), bare(b.python.Path, module), bare(b.goHello, "print")}, nil
}

// fresh is a function whose every call is the first one of a new environment.
type fresh struct {
	node     *node
	name     string
	at       target
	settings wire.Settings
	round    int
	phases   []phases
}

func (n *node) fresh(ctx context.Context, name string, k kind) (*fresh, error) {
	at, err := n.publish(ctx, name, k)
	return &fresh{node: n, name: name, at: at, settings: k.settings}, err
}

// call is the contestant. Its first phases, those of the warm-up, do not count.
func (f *fresh) call(ctx context.Context) (time.Duration, error) {
	if err := f.renew(ctx); err != nil {
		return 0, err
	}
	took, timing, err := once(ctx, f.at, "/")
	if err != nil {
		return 0, err
	}
	f.phases = append(f.phases, parsePhases(timing))
	list, err := f.node.Environments(ctx, f.name)
	if err == nil && (len(list) != 1 || list[0].Invocations > 1) {
		err = fmt.Errorf("a call of %s that should be cold was not the first one of its environment: %+v", f.name, list)
	}
	return took, err
}

// renew changes the function, so that its environments end, and waits for that.
func (f *fresh) renew(ctx context.Context) error {
	f.round++
	f.settings.Description = fmt.Sprintf("round %d", f.round)
	if _, _, err := f.node.PutFunction(ctx, f.name, wire.FunctionSpec{Settings: f.settings}, client.PutOptions{}); err != nil {
		return err
	}
	if err := f.node.gone(ctx, f.name); err != nil {
		return err
	}
	return pause(ctx, refill)
}

func (f *fresh) row(t *Table, name string, bare, call time.Duration) {
	x, y := milliseconds(bare), milliseconds(call)
	values := map[string]float64{"bare": x, "call": y, "over": y - x, "ratio": y / x}
	if f.settings.Runtime != goRuntime {
		values["calls with a stem"] = f.bound()
	}
	phaseValues(values, f.phases[1:], 0.5)
	t.row(name, values)
}

// bound is the share of calls whose runtime had started before they came.
func (f *fresh) bound() float64 {
	n := 0
	for _, p := range f.phases[1:] {
		if p.bound() {
			n++
		}
	}
	return float64(n) / float64(len(f.phases)-1)
}

// needStems says of a goal if most calls did not find a stem.
func (f *fresh) needStems(g *Goal) {
	if f.bound() < 0.5 {
		g.Missing = "the calls found no stem"
	}
}
