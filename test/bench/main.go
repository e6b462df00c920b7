// Command bench measures mayfly on the machine that it runs on: what a sandbox
// costs over a bare process, cold and warm invocations of each language against
// the bare interpreter and a direct HTTP server, deployments, starts of a node,
// memory. Contestants take turns within one run, because the pace of a machine
// changes; medians and ratios are what counts. It prints Markdown tables:
//
//	make bench
//	go run ./test/bench -quick -only cold,warm
//
// As root it runs in a network namespace of its own that has lo alone. The node is
// bin/mayfly with an empty data directory, which is removed afterwards.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// limit ends a run that hangs.
const limit = 8 * time.Minute

func main() {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			exit(role(os.Args[2:]))
		}
	}
	exit(enter(run))
}

// roles are what this program is for itself, as a process of its own that ends with
// its standard input.
var roles = map[string]func(args []string) error{
	serveArgument:    func([]string) error { return serveHello() },
	watchdogArgument: watchdog,
	behindArgument:   func(args []string) error { return serveBehind(args[0]) },
	hopArgument:      func(args []string) error { return serveHop(args[0]) },
	proxyArgument:    func(args []string) error { return serve(reverseProxy(args[0])) },
	loopsArgument:    runLoops,
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// section is a part of the run that fills one table.
type section struct {
	name string
	// node says that the section needs a running node.
	node bool
	run  func(*bench, context.Context) (*Table, error)
}

var sections = []section{
	{"sandbox", false, (*bench).sandbox},
	{"session", false, (*bench).session},
	{"hop", false, (*bench).hop},
	{"runtime-api", false, (*bench).runtimeAPI},
	{"cold", true, (*bench).cold},
	{"scale-out", true, (*bench).scaleOut},
	{"warm", true, (*bench).warm},
	{"steady", true, (*bench).steady},
	{"burst", true, (*bench).burst},
	{"thaw", true, (*bench).thaw},
	{"metering", false, (*bench).metering},
	{"memory", false, (*bench).memory},
	{"deploy", true, (*bench).deploy},
	{"start", false, (*bench).start},
}

func names() []string {
	all := make([]string, len(sections))
	for i, s := range sections {
		all[i] = s.name
	}
	return all
}

func run() (err error) {
	quick := flag.Bool("quick", false, "fewer rounds: a look, not a measurement")
	asJSON := flag.Bool("json", false, "print one JSON document instead of Markdown")
	only := flag.String("only", "", "sections to run, separated by commas: "+strings.Join(names(), ", "))
	binary := flag.String("mayfly", "bin/mayfly", "the program to measure")
	flag.Parse()
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the run took more than %s", limit))
	defer cancel()
	b, err := newBench(ctx, *binary, *quick)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return b.report(ctx, os.Stdout, chosen, *asJSON)
}

func choose(only string) ([]section, error) {
	if only == "" {
		return sections, nil
	}
	var chosen []section
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(sections, func(s section) bool { return s.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no section %q: choose from %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, sections[i])
	}
	return chosen, nil
}

// report runs the sections and prints each table as soon as it is there.
func (b *bench) report(ctx context.Context, w io.Writer, chosen []section, asJSON bool) error {
	r := Report{Machine: machine(ctx), Quick: b.quick}
	if !asJSON {
		r.Machine.markdown(w)
	}
	for _, s := range chosen {
		if s.node {
			if err := b.needNode(ctx); err != nil {
				return err
			}
		}
		t, err := s.run(b, ctx)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", s.name, err), context.Cause(ctx))
		}
		t.Name = s.name
		r.Tables = append(r.Tables, t)
		if !asJSON {
			t.markdown(w)
		}
	}
	r.Goals = b.goals
	if !asJSON {
		goalsMarkdown(w, b.goals)
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return nil
}
