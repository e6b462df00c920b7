package autoscaler

import "time"

// shortCall is a service time that a call may wait behind another one in the same
// environment rather than be run at once on taken cores.
const shortCall = 5 * time.Millisecond

// What a call may wait in a busy environment rather than wake another: about what
// waking takes where a processor is free for it, and where none is, what the other
// environment would have to wait for one.
const (
	wakeTime  = 200 * time.Microsecond
	takenTime = 5 * time.Millisecond
)

// ShouldWake reports whether the call that waits first is to be given to an idle
// environment, although a busy one could take it ahead. It is, except where the
// function's calls are short, compute, and already have the cores that they can
// get: another environment would add a change of context and nothing else.
func ShouldWake(o Observation) bool {
	switch {
	case o.Idle == 0:
		return false
	case o.Busy == 0, o.Ahead <= 0, o.Waiting > o.Busy*o.Ahead:
		return true // nothing else can take it
	case o.ServiceTime <= 0, o.ServiceTime > shortCall, o.OldestWait > Patience:
		return true
	case o.AheadWait <= wakeTime:
		return false
	case float64(o.RunningOnNode) >= o.Cores && o.AheadWait <= takenTime:
		return false
	default:
		return o.Busy < o.runnable()
	}
}
