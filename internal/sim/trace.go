package sim

import (
	"cmp"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

// The bounds of a trace, which is held in memory: 16 bytes a call.
const (
	maxFunctions = 200_000
	maxCalls     = 100_000_000
	maxSpan      = 366 * 24 * time.Hour
	maxCallTime  = time.Hour
)

// What a trace that doesn't say gives a function.
const (
	defaultMemoryMB = 256
	defaultStart    = 300 * time.Millisecond
	defaultCallTime = 100 * time.Millisecond
)

// Trace is the calls of a span of time. It is read-only once it was made.
type Trace struct {
	Functions []Function
	// Calls are ordered by time.
	Calls []Call
	// Span is the time that the trace covers.
	Span time.Duration
}

// Function is what a simulation must know of one.
type Function struct {
	Name     string
	MemoryMB int
	// Start is how long an environment takes to be ready.
	Start time.Duration
}

// Call is one call. Times are in microseconds; it is small because there are
// millions.
type Call struct {
	at       micros // since the begin of the trace
	function uint32
	length   uint32
}

func newCall(at time.Duration, function int, length time.Duration) Call {
	return Call{at: toMicros(at), function: uint32(function), length: uint32(toMicros(min(max(0, length), maxCallTime)))}
}

// At is when the call comes, from the begin of the trace.
func (c Call) At() time.Duration { return fromMicros(c.at) }

// Function is the index of the function that is called.
func (c Call) Function() int { return int(c.function) }

// Length is how long the call runs.
func (c Call) Length() time.Duration { return fromMicros(micros(c.length)) }

// sort puts the calls in order, those of the same moment too, so that a trace
// does not depend on how it was made.
func (t *Trace) sort() {
	slices.SortFunc(t.Calls, func(a, b Call) int {
		if c := cmp.Compare(a.at, b.at); c != 0 {
			return c
		}
		if c := cmp.Compare(a.function, b.function); c != 0 {
			return c
		}
		return cmp.Compare(a.length, b.length)
	})
}

func tooManyCalls() error {
	return fault.New(fault.TooLarge, "Trace", "the trace has more than %d calls: use fewer functions or a shorter time", maxCalls)
}

func tooManyFunctions() error {
	return fault.New(fault.TooLarge, "Trace", "the trace has more than %d functions", maxFunctions)
}
