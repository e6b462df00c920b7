package autoscaler_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly.dev/mayfly/internal/autoscaler"
)

func TestDesiredStarts(t *testing.T) {
	for _, c := range []struct {
		name string
		obs  autoscaler.Observation
		want int
	}{
		{"nobody waits", autoscaler.Observation{Busy: 3}, 0},
		{"from zero for one call", autoscaler.Observation{Waiting: 1}, 1},
		{"from zero to all at once while nothing is known", autoscaler.Observation{Waiting: 200, Cores: 2}, 200},
		{"starts under way are kept", autoscaler.Observation{Waiting: 5, Starting: 3}, 5},
		{"never more than calls can use", autoscaler.Observation{Waiting: 10, Slots: 4, Starting: 8}, 3},
		{"idle environments take calls first", autoscaler.Observation{Waiting: 3, Idle: 3, OldestWait: time.Second}, 0},
		{
			"a long call is worth a start",
			autoscaler.Observation{Waiting: 1, Busy: 1, ServiceTime: time.Second, StartTime: 70 * time.Millisecond, Cores: 2},
			1,
		},
		{
			"a short queue is gone before a start ends",
			autoscaler.Observation{Waiting: 4, Busy: 2, ServiceTime: time.Millisecond, StartTime: 70 * time.Millisecond, Cores: 2},
			0,
		},
		{
			"a burst of short calls gets as many as end in time",
			autoscaler.Observation{Waiting: 200, ServiceTime: time.Millisecond, StartTime: 4 * time.Millisecond, Cores: 2},
			14,
		},
		{
			"a burst of short calls with slow starts gets few",
			autoscaler.Observation{Waiting: 200, ServiceTime: time.Millisecond, StartTime: 70 * time.Millisecond, Cores: 2},
			3,
		},
		{
			"a burst of calls that wait for others gets all",
			autoscaler.Observation{Waiting: 200, ServiceTime: time.Second, StartTime: 4 * time.Millisecond, Cores: 2, CPUBound: 0.01},
			200,
		},
		{
			"computing calls get what the cores can run",
			autoscaler.Observation{Waiting: 200, ServiceTime: time.Second, StartTime: 4 * time.Millisecond, Cores: 2, CPUBound: 1},
			2,
		},
		{
			"computing calls with all cores taken get none",
			autoscaler.Observation{
				Waiting: 50, Busy: 3, RunningOnNode: 3, ServiceTime: time.Second, SinceRelease: time.Second, OldestWait: time.Second,
				StartTime: 4 * time.Millisecond, Cores: 2, CPUBound: 1,
			},
			0,
		},
		{
			"a neighbour's flood leaves half of the cores",
			autoscaler.Observation{
				Waiting: 50, Busy: 1, RunningOnNode: 100, ServiceTime: time.Second,
				StartTime: 4 * time.Millisecond, Cores: 4, CPUBound: 1,
			},
			1,
		},
		{
			"a call that waits too long gets a start against the estimate",
			autoscaler.Observation{
				Waiting: 4, Busy: 2, OldestWait: 21 * time.Millisecond, ServiceTime: time.Millisecond, StartTime: 70 * time.Millisecond, Cores: 2,
			},
			1,
		},
		{
			"calls that don't end get a start although the cores seem taken",
			autoscaler.Observation{
				Waiting: 50, Busy: 3, RunningOnNode: 3, ServiceTime: 10 * time.Millisecond, SinceRelease: time.Second, OldestWait: time.Second,
				StartTime: 4 * time.Millisecond, Cores: 2, CPUBound: 1,
			},
			1,
		},
		{"the minimum is kept", autoscaler.Observation{Min: 5, Busy: 1, Idle: 1}, 3},
		{"the maximum bounds", autoscaler.Observation{Waiting: 50, Busy: 2, Idle: 1, Max: 5, Starting: 1}, 2},
		{"a maximum that was lowered", autoscaler.Observation{Waiting: 50, Busy: 7, Max: 5}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := autoscaler.Desired(c.obs); got != c.want {
				t.Errorf("got %d starts, want %d", got, c.want)
			}
		})
	}
}

// observation draws any observation.
func observation(t *rapid.T) autoscaler.Observation {
	duration := func(name string) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, name)) >> rapid.IntRange(0, 42).Draw(t, name+" shift")
	}
	busy := rapid.IntRange(0, 50).Draw(t, "busy")
	return autoscaler.Observation{
		Waiting: rapid.IntRange(0, 10_000).Draw(t, "waiting"), OldestWait: duration("oldest"),
		Starting: rapid.IntRange(0, 50).Draw(t, "starting"), Busy: busy, Idle: rapid.IntRange(0, 50).Draw(t, "idle"),
		Slots: rapid.IntRange(0, 100).Draw(t, "slots"), Ahead: rapid.IntRange(0, 8).Draw(t, "ahead"),
		ServiceTime: duration("service"), StartTime: duration("start"), SinceRelease: duration("release"),
		CPUBound: rapid.Float64Range(0, 1).Draw(t, "cpu"), Cores: rapid.Float64Range(0, 128).Draw(t, "cores"),
		RunningOnNode: busy + rapid.IntRange(0, 500).Draw(t, "others"),
		Min:           rapid.IntRange(0, 10).Draw(t, "min"), Max: rapid.IntRange(0, 200).Draw(t, "max"),
	}
}

func TestDesiredStaysWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observation(t)
		got := autoscaler.Desired(o)
		if got < 0 {
			t.Fatalf("%+v: %d starts", o, got)
		}
		if all := o.Busy + o.Idle + got; o.Max > 0 && got > 0 && all > o.Max {
			t.Fatalf("%+v: %d environments, more than the maximum", o, all)
		}
		if missing := o.Min - o.Busy - o.Idle; got > max(o.Waiting, missing) {
			t.Fatalf("%+v: %d starts, more than calls and the minimum can use", o, got)
		}
	})
}

func TestDesiredGrowsWithTheQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observation(t)
		fewer := autoscaler.Desired(o)
		o.Waiting += rapid.IntRange(1, 1000).Draw(t, "more")
		if got := autoscaler.Desired(o); got < fewer {
			t.Fatalf("%+v: %d starts, but %d for a shorter queue", o, got, fewer)
		}
	})
}

func TestDesiredNeverLeavesACallAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observation(t)
		o.Waiting, o.Busy, o.Idle, o.Starting = max(1, o.Waiting), 0, 0, 0
		if autoscaler.Desired(o) < 1 {
			t.Fatalf("%+v: nothing starts", o)
		}
	})
}

func TestWakingAnIdleEnvironment(t *testing.T) {
	taken := autoscaler.Observation{
		Waiting: 1, Busy: 3, Idle: 1, Ahead: 4, AheadWait: time.Millisecond, RunningOnNode: 3,
		ServiceTime: time.Millisecond, CPUBound: 0.9, Cores: 2,
	}
	with := func(change func(*autoscaler.Observation)) autoscaler.Observation {
		o := taken
		change(&o)
		return o
	}
	for _, c := range []struct {
		name string
		obs  autoscaler.Observation
		want bool
	}{
		{"a short computing call on taken cores goes behind another", taken, false},
		{"nothing is idle", with(func(o *autoscaler.Observation) { o.Idle = 0 }), false},
		{"nothing is busy", with(func(o *autoscaler.Observation) { o.Busy = 0 }), true},
		{"nothing can be taken ahead", with(func(o *autoscaler.Observation) { o.Ahead = 0 }), true},
		{"more calls than can be taken ahead", with(func(o *autoscaler.Observation) { o.Waiting = 13 }), true},
		{"calls of unknown length", with(func(o *autoscaler.Observation) { o.ServiceTime = 0 }), true},
		{"long calls", with(func(o *autoscaler.Observation) { o.ServiceTime = time.Second }), true},
		{"calls that wait for others", with(func(o *autoscaler.Observation) { o.CPUBound, o.AheadWait = 0.1, 8*time.Millisecond }), true},
		{"a core is free", with(func(o *autoscaler.Observation) { o.Busy, o.RunningOnNode = 1, 1 }), true},
		{"a core is free, but waking takes longer", with(func(o *autoscaler.Observation) { o.Busy, o.RunningOnNode, o.AheadWait = 1, 1, 100*time.Microsecond }), false},
		{"a call that has waited too long", with(func(o *autoscaler.Observation) { o.OldestWait = time.Second }), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := autoscaler.ShouldWake(c.obs); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestShouldWakeNeverLeavesACallWithoutPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observation(t)
		if o.Idle > 0 && o.Waiting > o.Busy*o.Ahead && !autoscaler.ShouldWake(o) {
			t.Fatalf("%+v: nothing takes the call", o)
		}
	})
}
