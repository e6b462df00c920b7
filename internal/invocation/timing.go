package invocation

import (
	"strconv"
	"time"
)

// TimingRequestHeader asks for [Record.ServerTiming] in the answer's
// Server-Timing header when its value is "1".
const TimingRequestHeader = "Mayfly-Timing"

// ServerTiming returns the call's phases as the value of a Server-Timing header
// (W3C Server Timing), in milliseconds: the wait for an environment and the
// handler, and between them the phases of the cold start, if there was one, with
// its reason.
func (r *Record) ServerTiming() string {
	b := make([]byte, 0, 160)
	if r.ColdStart {
		b = append(b, "cold"...)
		if r.ColdStartReason != "" {
			b = append(b, `;desc="`...)
			b = append(b, r.ColdStartReason...)
			b = append(b, '"')
		}
		b = append(b, ", "...)
	}
	b = appendPhase(b, "queue", r.Queue)
	if r.ColdStart {
		b = appendPhase(append(b, ", "...), "sandbox", r.Sandbox)
		b = appendPhase(append(b, ", "...), "runtime", r.Runtime)
		b = appendPhase(append(b, ", "...), "load", r.Load)
		b = appendPhase(append(b, ", "...), "init", r.Init)
	}
	return string(appendPhase(append(b, ", "...), "handler", r.Duration))
}

// appendPhase adds one metric: whole microseconds, without the trailing zeros
// that would cost bytes on each answer.
func appendPhase(b []byte, name string, d time.Duration) []byte {
	b = append(b, name...)
	b = append(b, ";dur="...)
	ms := float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
	return strconv.AppendFloat(b, ms, 'f', -1, 64)
}
