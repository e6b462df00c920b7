package autoscaler_test

import (
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
)

const mib = 1 << 20

func TestGreedyDualKeepsWhatIsWorthMost(t *testing.T) {
	var g autoscaler.GreedyDual
	base := g.Priority(10, time.Second, 256*mib)
	for name, better := range map[string]float64{
		"called more often": g.Priority(11, time.Second, 256*mib),
		"dearer to start":   g.Priority(10, 2*time.Second, 256*mib),
		"smaller":           g.Priority(10, time.Second, 128*mib),
	} {
		if better <= base {
			t.Errorf("%s: priority %g, want more than %g", name, better, base)
		}
	}
}

func TestGreedyDualAgesWhatIsNotUsed(t *testing.T) {
	var g autoscaler.GreedyDual
	old := g.Priority(100_000, time.Second, 128*mib) // once used often
	for range 100 {
		g = g.Evicted(g.Priority(1, time.Second, 128*mib))
	}
	if fresh := g.Priority(1, time.Second, 128*mib); fresh <= old {
		t.Errorf("what was just used has priority %g, what has long not been %g", fresh, old)
	}
}

func TestGreedyDualClockNeverGoesBack(t *testing.T) {
	g := autoscaler.GreedyDual{}.Evicted(5)
	if got := g.Evicted(1); got != g {
		t.Errorf("evicting a lower priority moved the clock from %v to %v", g, got)
	}
}
