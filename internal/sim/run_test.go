package sim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mayfly.dev/mayfly/internal/fault"
)

// traceOf makes a trace of calls of 10 ms to functions of 1 GB that take 1 s to
// start.
func traceOf(span time.Duration, calls ...[]time.Duration) *Trace {
	t := &Trace{Span: span}
	for f, times := range calls {
		t.Functions = append(t.Functions, Function{Name: string(rune('a' + f)), MemoryMB: 1024, Start: time.Second})
		for _, at := range times {
			t.Calls = append(t.Calls, newCall(at, f, 10*time.Millisecond))
		}
	}
	t.sort()
	return t
}

// every lists the moments from first on.
func every(first, gap time.Duration, n int) []time.Duration {
	times := make([]time.Duration, n)
	for i := range times {
		times[i] = first + time.Duration(i)*gap
	}
	return times
}

func mustParse(tb testing.TB, name string) Policy {
	tb.Helper()
	p, err := ParsePolicy(name)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func simulate(tb testing.TB, t *Trace, c Cluster, policy string) Result {
	tb.Helper()
	results, err := Compare(tb.Context(), t, c, []Policy{mustParse(tb, policy)}, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return results[0]
}

var roomy = Cluster{Nodes: 4, NodeMemoryMB: 64 << 10}

func TestFixedKeepsForItsTime(t *testing.T) {
	trace := traceOf(time.Hour, []time.Duration{0, 5 * time.Minute, 20 * time.Minute})
	r := simulate(t, trace, roomy, "fixed:10m")
	if r.Calls != 3 || r.ColdStarts != 2 || r.Starts != 2 {
		t.Errorf("got %d calls, %d cold, %d starts; want 3, 2, 2", r.Calls, r.ColdStarts, r.Starts)
	}
	// Idle are the time to the second call, ten minutes after it, and again.
	first := (5*time.Minute - 1010*time.Millisecond).Seconds()
	if want := first + 1200; r.IdleMemoryGBs < want-0.001 || r.IdleMemoryGBs > want+0.001 {
		t.Errorf("got %.3f GB·s idle, want %.3f", r.IdleMemoryGBs, want)
	}
	if r.AddedP50 < 980*time.Millisecond || r.AddedP50 > time.Second {
		t.Errorf("a cold start added %s, want a second", r.AddedP50)
	}
	if r.PeakMemoryMB != 1024 || r.IdleRelative != 1 {
		t.Errorf("got a peak of %d MB and idle memory %.2f times the reference's, want 1024 and 1", r.PeakMemoryMB, r.IdleRelative)
	}
}

func TestNoneKeepsNothing(t *testing.T) {
	r := simulate(t, traceOf(time.Hour, every(0, time.Minute, 30)), roomy, "none")
	if r.ColdStarts != 30 || r.IdleMemoryGBs != 0 {
		t.Errorf("got %d cold starts and %.3f GB·s idle, want 30 and 0", r.ColdStarts, r.IdleMemoryGBs)
	}
}

func TestHistogramStartsBeforeARegularCall(t *testing.T) {
	trace := traceOf(48*time.Hour, every(0, 30*time.Minute, 96))
	fixed, r := simulate(t, trace, roomy, "fixed:1h"), simulate(t, trace, roomy, "histogram")
	if fixed.ColdStarts != 1 {
		t.Errorf("an hour of keep-alive has %d cold starts, want 1", fixed.ColdStarts)
	}
	if r.ColdStarts > 11 || r.PreWarmed < 80 {
		t.Errorf("got %d cold starts and %d starts ahead, want 11 at most and 80 at least", r.ColdStarts, r.PreWarmed)
	}
	if r.IdleMemoryGBs > fixed.IdleMemoryGBs/4 {
		t.Errorf("got %.0f GB·s idle, want a quarter of %.0f at most", r.IdleMemoryGBs, fixed.IdleMemoryGBs)
	}
}

func TestACallWaitsForWhicheverComesFirst(t *testing.T) {
	// The second call comes while the first one's environment starts: it is taken
	// by that environment long before its own would have started.
	trace := traceOf(time.Minute, []time.Duration{0, 900 * time.Millisecond})
	r := simulate(t, trace, roomy, "fixed:10m")
	if r.ColdStarts != 1 || r.AddedP50 > 120*time.Millisecond {
		t.Errorf("got %d cold starts and %s added, want 1 and 110ms", r.ColdStarts, r.AddedP50)
	}
}

func TestEvictionMakesRoom(t *testing.T) {
	// There is room for two. Function a is called often, then b and c in turns.
	calls := [][]time.Duration{
		append(every(0, 10*time.Second, 20), every(210*time.Second, 40*time.Second, 8)...),
		every(200*time.Second, 40*time.Second, 8),
		every(220*time.Second, 40*time.Second, 8),
	}
	small := Cluster{Nodes: 1, NodeMemoryMB: 2048}
	lru := simulate(t, traceOf(20*time.Minute, calls...), small, "lru")
	greedy := simulate(t, traceOf(20*time.Minute, calls...), small, "greedy-dual")
	if lru.Evictions == 0 || lru.PeakMemoryMB != 2048 {
		t.Errorf("got %d evictions and a peak of %d MB, want some and 2048", lru.Evictions, lru.PeakMemoryMB)
	}
	if greedy.ColdStarts >= lru.ColdStarts {
		t.Errorf("greedy-dual has %d cold starts, least recently used %d: want fewer", greedy.ColdStarts, lru.ColdStarts)
	}
}

func TestAFullHomeOverflowsToTheLeastLoaded(t *testing.T) {
	var calls [][]time.Duration
	for range 8 {
		calls = append(calls, []time.Duration{0})
	}
	r := simulate(t, traceOf(time.Minute, calls...), Cluster{Nodes: 4, NodeMemoryMB: 2048}, "fixed:10m")
	if r.Evictions != 0 || r.PeakMemoryMB != 8192 {
		t.Errorf("got %d evictions and a peak of %d MB, want 0 and all 8192", r.Evictions, r.PeakMemoryMB)
	}
}

func TestEveryCallEndsAndMemoryIsGivenBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trace := &Trace{Span: time.Hour}
		functions := rapid.IntRange(1, 6).Draw(t, "functions")
		for range functions {
			trace.Functions = append(trace.Functions, Function{
				MemoryMB: rapid.IntRange(1, 1000).Draw(t, "memory"),
				Start:    time.Duration(rapid.IntRange(0, 5000).Draw(t, "start")) * time.Millisecond,
			})
		}
		for range rapid.IntRange(0, 200).Draw(t, "calls") {
			trace.Calls = append(trace.Calls, newCall(
				time.Duration(rapid.IntRange(0, 3600).Draw(t, "at"))*time.Second, rapid.IntRange(0, functions-1).Draw(t, "function"),
				time.Duration(rapid.IntRange(0, 120_000).Draw(t, "length"))*time.Millisecond))
		}
		trace.sort()
		name := rapid.SampledFrom([]string{"none", "fixed:10m", "fixed:0s+greedy-dual", "histogram:1m", "lru", "greedy-dual"}).Draw(t, "policy")
		policy, err := ParsePolicy(name)
		if err != nil {
			t.Fatal(err)
		}
		cluster := Cluster{Nodes: rapid.IntRange(1, 3).Draw(t, "nodes"), NodeMemoryMB: rapid.IntRange(1000, 4000).Draw(t, "node memory")}
		s := newSimulation(trace, cluster, policy)
		r, err := s.run(context.Background(), newProgress(1, nil))
		if err != nil {
			t.Fatal(err)
		}
		if r.Calls != len(trace.Calls) || int(s.added.all) != r.Calls || r.ColdStarts > r.Starts {
			t.Fatalf("%d calls came, %d began, %d were cold with %d starts", len(trace.Calls), s.added.all, r.ColdStarts, r.Starts)
		}
		if r.PeakMemoryMB > cluster.Nodes*cluster.NodeMemoryMB {
			t.Fatalf("a peak of %d MB is more than there is", r.PeakMemoryMB)
		}
		s.checkMemory(t, cluster)
	})
}

// checkMemory compares what nodes, functions and environments say of memory.
func (s *simulation) checkMemory(t *rapid.T, c Cluster) {
	used := make([]int, len(s.nodes))
	for i := range s.environments {
		e := &s.environments[i]
		if e.state == gone {
			continue
		}
		if e.state != idling {
			t.Fatalf("environment %d still is in state %d", i, e.state)
		}
		used[e.node] += s.memoryOf(int32(i))
	}
	sum := 0
	for i, n := range s.nodes {
		if n.free+used[i] != c.NodeMemoryMB || n.free < 0 {
			t.Fatalf("node %d has %d MB free and %d used of %d", i, n.free, used[i], c.NodeMemoryMB)
		}
		sum += used[i]
	}
	if sum != s.memoryMB {
		t.Fatalf("%d MB are used, but %d counted", sum, s.memoryMB)
	}
	for i := range s.functions {
		if f := &s.functions[i]; f.busy != 0 || f.starting != 0 || len(f.queue) != 0 {
			t.Fatalf("function %d is left with %d busy, %d starting, %d waiting", i, f.busy, f.starting, len(f.queue))
		}
	}
}

func TestASeedRepeatsItself(t *testing.T) {
	policies := []Policy{mustParse(t, "histogram"), mustParse(t, "greedy-dual"), mustParse(t, "fixed:10m")}
	run := func(seed uint64, workers int) []Result {
		trace, err := Generator{Functions: 60, Span: 12 * time.Hour, Seed: seed}.Generate()
		if err != nil {
			t.Fatal(err)
		}
		results, err := Compare(t.Context(), trace, Cluster{Nodes: 5, NodeMemoryMB: 4096}, policies, Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	first := run(7, 1)
	if diff := cmp.Diff(first, run(7, 3)); diff != "" {
		t.Errorf("the same seed has another result (-first +second):\n%s", diff)
	}
	if cmp.Equal(first, run(8, 3)) {
		t.Error("another seed has the same result")
	}
}

func TestCompareTellsItsProgress(t *testing.T) {
	last := 0.0
	_, err := Compare(t.Context(), traceOf(time.Hour, every(0, time.Second, 500)), roomy, []Policy{mustParse(t, "lru")}, Options{
		Progress: func(done float64) {
			if done < last {
				t.Errorf("progress went from %.2f to %.2f", last, done)
			}
			last = done
		},
	})
	if err != nil || last != 1 {
		t.Errorf("got error %v and progress %.2f, want none and 1", err, last)
	}
}

func TestCompareStopsWhenItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	told := errors.New("enough")
	cancel(told)
	_, err := Compare(ctx, traceOf(time.Hour, every(0, time.Second, 10)), roomy, []Policy{mustParse(t, "lru")}, Options{})
	if !errors.Is(err, told) {
		t.Errorf("got %v, want %v", err, told)
	}
}

func TestCompareRefusesAClusterThatCannotWork(t *testing.T) {
	trace := traceOf(time.Hour, []time.Duration{0})
	for _, c := range []struct {
		cluster Cluster
		reason  string
	}{{Cluster{0, 4096}, "Nodes"}, {Cluster{1, 1023}, "NodeMemory"}} {
		if _, err := Compare(t.Context(), trace, c.cluster, nil, Options{}); !fault.Is(err, fault.Invalid, c.reason) {
			t.Errorf("%+v: got %v, want reason %s", c.cluster, err, c.reason)
		}
	}
}

func BenchmarkSimulation(b *testing.B) {
	trace, err := Generator{Functions: 200, Span: day, Seed: 1}.Generate()
	if err != nil {
		b.Fatal(err)
	}
	policy := mustParse(b, "histogram+greedy-dual")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := newSimulation(trace, roomy, policy).run(b.Context(), newProgress(1, nil)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(trace.Calls)*b.N)/b.Elapsed().Seconds(), "calls/s")
}
