// Command gen writes the plots of docs/scaling.md and its table of figures.
//
//	go run ./gen docs/scaling.md docs/scaling
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mayfly.dev/mayfly/internal/sim"
)

// The trace that is plotted.
const (
	functions = 300
	span      = 48 * time.Hour
	seed      = 1
	nodes     = 8
	workers   = 2
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gen PAGE FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(page, folder string) error {
	trace, err := sim.Generator{Functions: functions, Span: span, Seed: seed}.Generate()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // documentation is for everyone to read
		return err
	}
	e := experiment{trace: trace}
	for name, plot := range map[string]func() (*chart, error){
		"keep-warm.svg": e.keepWarm, "functions.svg": e.overFunctions, "memory.svg": e.memory,
	} {
		c, err := plot()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), c.svg(), 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	table, err := e.table()
	if err != nil {
		return err
	}
	return replaceBetween(page, "<!-- figures: written by internal/sim/gen -->\n", "<!-- end of figures -->\n", table)
}

// replaceBetween puts text between two lines of a file.
func replaceBetween(path, begin, end, text string) error {
	content, err := os.ReadFile(path) //nolint:gosec // the path is our own generate line's
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(content, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		return fmt.Errorf("%s has no lines %q and %q", path, begin, end)
	}
	return os.WriteFile(path, fmt.Appendf(nil, "%s%s%s%s%s", before, begin, text, end, after), 0o644) //nolint:gosec // documentation is for everyone to read
}

// experiment compares policies over one trace.
type experiment struct{ trace *sim.Trace }

// compare runs policies on nodes that have this memory each.
func (e experiment) compare(nodeMemoryMB int, names ...string) ([]sim.Result, error) {
	var policies []sim.Policy
	for _, name := range names {
		p, err := sim.ParsePolicy(name)
		if err != nil {
			return nil, err
		}
		policies = append(policies, p)
	}
	return sim.Compare(context.Background(), e.trace, sim.Cluster{Nodes: nodes, NodeMemoryMB: nodeMemoryMB}, policies, sim.Options{Workers: workers})
}
