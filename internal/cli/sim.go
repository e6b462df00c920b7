package cli

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sim"
)

// simulation is the command line of mayfly sim.
type simulation struct {
	*app

	policies  []string
	functions int
	nodes     int
	memory    string
	span      time.Duration
	seed      uint64
	trace     string
}

func (a *app) simCommand() *cobra.Command {
	s := &simulation{app: a}
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Simulate how policies keep environments warm",
		Long: `Runs the node's own scaling policies over a trace of calls, on simulated nodes, and
prints what each costs: cold starts, memory kept idle, time that calls waited. No
node is needed. The quartiles are those, over functions, of the share of a function's
calls that were cold. Without --trace the calls are generated, with the characteristics
that were published of a large cloud's functions; the same seed gives the same.

Policies: none; fixed:10m (any time); histogram, or histogram:5m with another time
where a function shows no pattern; lru and greedy-dual, which keep everything until
memory is needed. The first three evict what was idle longest, with +greedy-dual
what is worth least. A node has histogram:5m+greedy-dual unless it is configured.

A trace is either one JSON object a line, {"t": 12.5, "function": "hello",
"duration": 0.02} with seconds, and where they are known "memoryMB" and "start" of
the function; or a file of calls per minute in the form of the Azure Functions
traces of 2019.`,
		Example: `  mayfly sim
  mayfly sim --policy fixed:10m,histogram:5m,greedy-dual --functions 2000 --nodes 20 --memory 16GiB
  mayfly sim --trace invocations_per_function_md.anon.d01.csv --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&s.policies, "policy", []string{"none", "fixed:10m", "histogram:5m+greedy-dual", "greedy-dual"}, "policies to compare")
	flags.IntVar(&s.functions, "functions", 1000, "functions to generate")
	flags.IntVar(&s.nodes, "nodes", 10, "nodes")
	flags.StringVar(&s.memory, "memory", "32GiB", "memory of each node for environments")
	flags.DurationVar(&s.span, "duration", 24*time.Hour, "time to generate calls for")
	flags.Uint64Var(&s.seed, "seed", 1, "what chance starts from")
	flags.StringVar(&s.trace, "trace", "", "file with the calls, - for standard input")
	cmd.MarkFlagsMutuallyExclusive("trace", "functions")
	cmd.MarkFlagsMutuallyExclusive("trace", "duration")
	a.jsonFlag(cmd)
	return cmd
}

func (s *simulation) run(cmd *cobra.Command) error {
	var policies []sim.Policy
	for _, name := range s.policies {
		p, err := sim.ParsePolicy(name)
		if err != nil {
			return err
		}
		policies = append(policies, p)
	}
	var memory config.Size
	if err := memory.UnmarshalText([]byte(s.memory)); err != nil {
		return usage("--memory: %v", err)
	}
	trace, err := s.load()
	if err != nil {
		return err
	}
	progress, done := s.progress()
	results, err := sim.Compare(cmd.Context(), trace, sim.Cluster{Nodes: s.nodes, NodeMemoryMB: int(memory >> 20)}, policies,
		sim.Options{Workers: runtime.GOMAXPROCS(0), Progress: progress})
	done()
	if err != nil {
		return err
	}
	if s.json {
		return s.printJSON(results)
	}
	s.note("%d calls of %d functions in %s on %d nodes of %s", len(trace.Calls), len(trace.Functions), trace.Span, s.nodes, memory)
	return s.print(results)
}

// load reads the trace, or generates one.
func (s *simulation) load() (*sim.Trace, error) {
	switch s.trace {
	case "":
		return sim.Generator{Functions: s.functions, Span: s.span, Seed: s.seed}.Generate()
	case "-":
		return sim.ReadTrace(s.In, s.seed)
	}
	f, err := os.Open(s.trace)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "Trace", "the trace can't be opened: %v", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	return sim.ReadTrace(f, s.seed)
}

// progress shows a bar to a person. done removes it.
func (s *simulation) progress() (tell func(float64), done func()) {
	if !isTerminal(s.Err) || s.json {
		return nil, func() {}
	}
	const whole = 1000
	bar := progressbar.NewOptions(whole, progressbar.OptionSetWriter(s.Err), progressbar.OptionSetDescription("simulate"),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(false))
	return func(share float64) { _ = bar.Set(int(share * whole)) }, func() { _ = bar.Clear() }
}

func (s *simulation) print(results []sim.Result) error {
	var rows [][]string
	for _, r := range results {
		q := r.ColdQuartiles
		rows = append(rows, []string{
			r.Policy, percent(r.ColdShare), percent(q[0]) + " " + percent(q[1]) + " " + percent(q[2]),
			fmt.Sprintf("%.0f GB·s", r.IdleMemoryGBs), fmt.Sprintf("%.2f", r.IdleRelative),
			r.AddedP50.Round(time.Millisecond).String(), r.AddedP99.Round(time.Millisecond).String(),
			strconv.Itoa(r.Starts), strconv.Itoa(r.Evictions), fmt.Sprintf("%.1f GiB", float64(r.PeakMemoryMB)/1024),
		})
	}
	return s.table([]string{"POLICY", "COLD", "QUARTILES", "IDLE MEMORY", "TO FIXED:10M", "WAIT P50", "WAIT P99", "STARTS", "EVICTED", "PEAK"}, rows)
}

func percent(share float64) string { return fmt.Sprintf("%.2f%%", 100*share) }
