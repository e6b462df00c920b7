package autoscaler_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly.dev/mayfly/internal/autoscaler"
)

// repeat lists the durations n times over.
func repeat(n int, durations ...time.Duration) []time.Duration {
	var all []time.Duration
	for range n {
		all = append(all, durations...)
	}
	return all
}

// spread lists one idle time for each of many minutes.
func spread(from, to int) []time.Duration {
	var all []time.Duration
	for m := from; m < to; m++ {
		all = append(all, time.Duration(m)*time.Minute)
	}
	return all
}

func TestHybridFollowsTheHistogram(t *testing.T) {
	const fallback = 10 * time.Minute
	fixed := func(b autoscaler.Basis) autoscaler.Windows {
		return autoscaler.Windows{KeepAlive: fallback, Basis: b}
	}
	for _, c := range []struct {
		name string
		idle []time.Duration
		want autoscaler.Windows
	}{
		{"never called", nil, fixed(autoscaler.BasisFew)},
		{"called a few times", repeat(9, 30*time.Minute), fixed(autoscaler.BasisFew)},
		{
			"called every half hour", repeat(20, 30*time.Minute),
			autoscaler.Windows{PreWarm: 27 * time.Minute, KeepAlive: 7*time.Minute + 6*time.Second, Basis: autoscaler.BasisHistogram},
		},
		{
			"called all the time", repeat(100, time.Second),
			autoscaler.Windows{KeepAlive: fallback, Basis: autoscaler.BasisHistogram},
		},
		{
			"at random, a few times an hour", spread(10, 35),
			autoscaler.Windows{KeepAlive: 38*time.Minute + 30*time.Second, Basis: autoscaler.BasisHistogram},
		},
		{
			"bursts at long intervals", repeat(20, time.Second, time.Second, time.Second, 50*time.Minute),
			autoscaler.Windows{KeepAlive: 56*time.Minute + 6*time.Second, Basis: autoscaler.BasisHistogram},
		},
		{"spread evenly", append(spread(0, 240), spread(0, 240)...), fixed(autoscaler.BasisSpread)},
		{
			"once a day", repeat(4, 24*time.Hour),
			autoscaler.Windows{PreWarm: 24*time.Hour - 2*time.Minute, KeepAlive: 4 * time.Minute, Basis: autoscaler.BasisPeriod},
		},
		{
			"about every six hours", repeat(4, 6*time.Hour, 6*time.Hour+30*time.Minute),
			autoscaler.Windows{PreWarm: 330 * time.Minute, KeepAlive: 90 * time.Minute, Basis: autoscaler.BasisPeriod},
		},
		{"once a day, but new", repeat(3, 24*time.Hour), fixed(autoscaler.BasisFew)},
		{"rare and irregular", repeat(4, 5*time.Hour, 19*time.Hour), fixed(autoscaler.BasisRare)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h autoscaler.Histogram
			for _, d := range c.idle {
				h.Observe(d)
			}
			if got := (autoscaler.Hybrid{Fallback: fallback}).Windows(&h); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestFixedIgnoresTheHistogram(t *testing.T) {
	var h autoscaler.Histogram
	for range 50 {
		h.Observe(time.Hour)
	}
	want := autoscaler.Windows{KeepAlive: 10 * time.Minute, Basis: autoscaler.BasisFixed}
	if got := autoscaler.Fixed(10 * time.Minute).Windows(&h); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWarmIsInsideTheWindow(t *testing.T) {
	w := autoscaler.Windows{PreWarm: 10 * time.Minute, KeepAlive: 5 * time.Minute}
	for idle, want := range map[time.Duration]bool{
		0: false, 10*time.Minute - 1: false, 10 * time.Minute: true, 15*time.Minute - 1: true, 15 * time.Minute: false,
	} {
		if got := w.Warm(idle); got != want {
			t.Errorf("idle for %s: warm is %v, want %v", idle, got, want)
		}
	}
}

func TestWindowsAreNeverNegative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h autoscaler.Histogram
		for range rapid.IntRange(0, 100).Draw(t, "samples") {
			h.Observe(time.Duration(rapid.Int64().Draw(t, "idle")) >> rapid.IntRange(0, 60).Draw(t, "shift"))
		}
		w := autoscaler.Hybrid{Fallback: time.Minute}.Windows(&h)
		if w.PreWarm < 0 || w.KeepAlive <= 0 || w.Basis == "" {
			t.Fatalf("got %+v", w)
		}
	})
}

func TestRegularCallsFallIntoTheirWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h autoscaler.Histogram
		period := time.Duration(rapid.IntRange(1, 2*24*60).Draw(t, "minutes")) * time.Minute
		for range 10 {
			h.Observe(period)
		}
		if w := (autoscaler.Hybrid{}).Windows(&h); !w.Warm(period) {
			t.Fatalf("a function called every %s is not warm then: %+v", period, w)
		}
	})
}
