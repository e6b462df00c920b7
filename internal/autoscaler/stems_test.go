package autoscaler_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly.dev/mayfly/internal/autoscaler"
)

var (
	noon   = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	limits = autoscaler.StemLimits{Max: 16, MemoryBytes: 1024 * mib, StemBytes: 20 * mib}
)

const refill = 100 * time.Millisecond

func TestStemsOfAQuietRuntime(t *testing.T) {
	deployed := limits
	deployed.Deployed = true
	var never, once autoscaler.StemDemand
	once.Observe(noon, refill)
	for _, c := range []struct {
		name   string
		demand autoscaler.StemDemand
		now    time.Time
		limits autoscaler.StemLimits
		want   int
	}{
		{"unused and not deployed", never, noon, limits, 0},
		{"deployed", never, noon, deployed, 1},
		{"used a while ago", once, noon.Add(59 * time.Minute), limits, 2},
		{"used long ago", once, noon.Add(61 * time.Minute), limits, 0},
		{"used long ago, still deployed", once, noon.Add(61 * time.Minute), deployed, 1},
		{"switched off", once, noon, autoscaler.StemLimits{Deployed: true}, 0},
		{"no memory", once, noon, autoscaler.StemLimits{Max: 4, StemBytes: 20 * mib}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := autoscaler.Stems(&c.demand, c.now, c.limits); got != c.want {
				t.Errorf("got %d stems, want %d", got, c.want)
			}
		})
	}
}

func TestStemsFollowABurstAndFade(t *testing.T) {
	var d autoscaler.StemDemand
	for i := range 12 {
		d.Observe(noon.Add(time.Duration(i)*time.Millisecond), refill)
	}
	last := 17
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 12}, {5 * time.Minute, 6}, {11 * time.Minute, 2}, {2 * time.Hour, 0}} {
		got := autoscaler.Stems(&d, noon.Add(c.after), limits)
		if got != c.want || got > last {
			t.Errorf("%s after a burst of 12 starts: %d stems, want %d", c.after, got, c.want)
		}
		last = got
	}
}

func TestStemsFollowASteadyRate(t *testing.T) {
	var d autoscaler.StemDemand
	now := noon
	for range 100 { // half of what can be refilled: one is always back in time
		now = now.Add(2 * refill)
		d.Observe(now, refill)
	}
	if got := autoscaler.Stems(&d, now, limits); got != 2 {
		t.Errorf("got %d stems, want 2", got)
	}
}

func TestStemDemandSurvivesClockJumps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d autoscaler.StemDemand
		for range rapid.IntRange(0, 50).Draw(t, "starts") {
			now := time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "now"), 0)
			d.Observe(now, time.Duration(rapid.Int64Range(-1, int64(time.Second)).Draw(t, "refill")))
			if got := autoscaler.Stems(&d, now, limits); got < 1 || got > limits.Max {
				t.Fatalf("%d stems just after a start", got)
			}
		}
	})
}
