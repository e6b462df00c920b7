package sim

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/fault"
)

func TestQueueIsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var want []event
		for _, at := range rapid.SliceOf(rapid.Int64Range(0, 20)).Draw(t, "times") {
			q.push(event{at: at})
			want = append(want, event{at: at, seq: q.seq})
			if len(q.events) > 1 && rapid.Bool().Draw(t, "pop") {
				slices.SortFunc(want, func(a, b event) int { return map[bool]int{true: -1, false: 1}[a.before(&b)] })
				if got := q.pop(); got != want[0] {
					t.Fatalf("got %+v, want %+v", got, want[0])
				}
				want = want[1:]
			}
		}
		slices.SortFunc(want, func(a, b event) int { return map[bool]int{true: -1, false: 1}[a.before(&b)] })
		for _, w := range want {
			if got := q.pop(); got != w {
				t.Fatalf("got %+v, want %+v", got, w)
			}
		}
	})
}

func TestSpansKeepPercentilesWithinAStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, 1<<40), 1, 200).Draw(t, "values")
		var s spans
		for _, v := range values {
			s.observe(v)
		}
		slices.Sort(values)
		exact := values[(len(values)+1)/2-1]
		got := s.percentile(0.5).Microseconds()
		if got > exact || float64(got) < float64(exact)*(1-1.0/steps)-1 {
			t.Fatalf("the median of %v is %d, got %d", values, exact, got)
		}
	})
}

func TestHomesAreSpreadAndStay(t *testing.T) {
	const functions, nodes = 10_000, 50
	var count [nodes]int
	moved := 0
	for f := range functions {
		home := homeOf(f, nodes)
		count[home]++
		if more := homeOf(f, nodes+1); more != home {
			if more != nodes {
				t.Fatalf("function %d moved between old nodes when one was added", f)
			}
			moved++
		}
	}
	if low, high := slices.Min(count[:]), slices.Max(count[:]); low < functions/nodes/2 || high > functions/nodes*2 {
		t.Errorf("nodes are home to %d to %d functions", low, high)
	}
	if moved > 2*functions/nodes {
		t.Errorf("%d functions moved to one new node", moved)
	}
}

func TestParsePolicy(t *testing.T) {
	for name, want := range map[string]Policy{
		"none":                     {KeepWarm: autoscaler.Fixed(0)},
		"fixed:90s":                {KeepWarm: autoscaler.Fixed(90 * time.Second)},
		"fixed:1h+greedy-dual":     {KeepWarm: autoscaler.Fixed(time.Hour), GreedyDual: true},
		"histogram":                {KeepWarm: autoscaler.Hybrid{Fallback: 10 * time.Minute}},
		"histogram:5m+greedy-dual": {KeepWarm: autoscaler.Hybrid{Fallback: 5 * time.Minute}, GreedyDual: true},
		"lru":                      {},
		"greedy-dual":              {GreedyDual: true},
	} {
		want.Name = name
		if got, err := ParsePolicy(name); err != nil || got != want {
			t.Errorf("%s: got %+v and error %v, want %+v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "fixed", "fixed:", "fixed:-1s", "fixed:soon", "none:1m", "lru:1m", "lru+greedy-dual", "greedy-dual+greedy-dual", "arima"} {
		if _, err := ParsePolicy(name); !fault.Is(err, fault.Invalid, "Policy") {
			t.Errorf("%q: got error %v, want one of reason Policy", name, err)
		}
	}
}
