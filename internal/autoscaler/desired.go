package autoscaler

import (
	"math"
	"time"
)

// Observation is what is known of a function on a node when a decision is due.
type Observation struct {
	// Waiting calls are in the queue and in no environment. OldestWait is how
	// long the first of them has been.
	Waiting    int
	OldestWait time.Duration
	// Starting, Busy and Idle environments: starts that are under way or wait for
	// their turn, environments that run calls, and those that could.
	Starting, Busy, Idle int
	// Slots is how many calls an environment runs at once, Ahead how many more a
	// busy one takes before it is free for them.
	Slots, Ahead int
	// AheadWait is how long a call is expected to wait that is taken ahead.
	AheadWait time.Duration
	// ServiceTime is how long a call takes, from its begin; 0 if no call has
	// ended yet, which is taken for long.
	ServiceTime time.Duration
	// StartTime is how long a start takes now from its turn on: what it waited
	// for its turn or for memory does not count. 0 if unknown, which is taken for
	// short.
	StartTime time.Duration
	// SinceRelease is how long ago a call ended, or when none has, the first
	// began.
	SinceRelease time.Duration
	// CPUBound is the share of its time that a call computes, 0 to 1.
	CPUBound float64
	// Cores is how many processors the node's functions have; 0: not known, and
	// no bound. RunningOnNode counts the busy environments of all functions.
	Cores         float64
	RunningOnNode int
	// Min and Max bound the function's environments; a Max of 0 is no bound.
	Min, Max int
}

const (
	// Patience is how long a call waits before no estimate counts against a start
	// for it.
	Patience = 20 * time.Millisecond
	// spare is how many environments of calls that only compute may run for each
	// core: one, since the platform computes beside them.
	spare = 1
	// minDemand is the share of a core below which environments don't compete
	// for cores.
	minDemand = 0.02
	// overdue is how many service times without any call's end say that the
	// estimates have nothing to do with what runs now.
	overdue = 4
)

// Desired returns how many environments of the function should be starting, those
// that are included. The pool begins what is missing; if there are more, those
// that still wait for their turn may be called off.
func Desired(o Observation) int {
	starts := max(o.Min-o.Busy-o.Idle, o.forWaiting())
	if o.Max > 0 {
		starts = min(starts, o.Max-o.Busy-o.Idle)
	}
	return max(0, starts)
}

// forWaiting is how many starts the calls in the queue are worth.
func (o *Observation) forWaiting() int {
	slots := max(1, o.Slots)
	waiting := o.Waiting - o.Idle*slots // idle environments take the others
	if waiting <= 0 {
		return 0
	}
	usable := (waiting + slots - 1) / slots
	starts := min(usable, o.worthwhile(waiting, slots))
	if starts == 0 && (o.Busy == 0 || o.OldestWait > Patience) {
		starts = 1
	}
	starts = min(starts, max(0, o.runnable()-o.Busy))
	if starts == 0 && (o.Busy == 0 || o.stalled()) {
		starts = 1
	}
	return starts
}

// worthwhile is how many starts end before the queue is empty. Starts end at the
// rate at which the node's cores can make them, r = cores/StartTime, and each
// environment then takes calls at the rate m = slots/ServiceTime. After the time
// t the busy ones have taken m·busy·t calls and the new ones m·r·t²/2. The queue
// is empty when the sum reaches waiting, and r·t starts have ended by then.
func (o *Observation) worthwhile(waiting, slots int) int {
	if o.ServiceTime <= 0 || o.StartTime <= 0 {
		return math.MaxInt
	}
	busy := float64(o.Busy)
	ratio := float64(o.ServiceTime) / float64(o.StartTime)
	line := float64(waiting) / float64(slots) * ratio // the queue, in calls per start time and environment
	if line <= busy {
		return 0 // empty before the first start has ended
	}
	starts := math.Sqrt(busy*busy+2*max(1, o.Cores)*line) - busy
	return max(1, int(min(starts, math.MaxInt32)))
}

// runnable is how many environments of the function the cores can run. Other
// functions' environments may be waiting for something, so they take half of it
// at most; that also is the function's fair share beside a flood.
func (o *Observation) runnable() int {
	demand := max(o.CPUBound, min(1, o.CPUBound*float64(o.Slots)))
	if demand < minDemand || o.Cores <= 0 {
		return math.MaxInt
	}
	all := spare * o.Cores / demand
	others := float64(max(0, o.RunningOnNode-o.Busy))
	return int(math.Ceil(max(all/2, all-others)))
}

// stalled reports whether calls have not ended for so long that what is known of
// them must be wrong.
func (o *Observation) stalled() bool {
	return o.OldestWait > Patience && o.SinceRelease > Patience+overdue*o.ServiceTime
}
