package invocation

import (
	"strconv"
	"time"
)

// ErrorTimeout is the error type of a call, or of an init phase, that ran out of
// time.
const ErrorTimeout = "Sandbox.Timedout"

// PlatformEnded reports whether the platform, and not user code, worded a failure
// of this type, so that the log has no other trace of it.
func PlatformEnded(errorType string) bool {
	switch errorType {
	case ErrorTimeout, "Runtime.ExitError", "Runtime.OutOfMemory", "Runtime.InvalidEntrypoint", ErrorResponseTooLarge:
		return true
	default:
		return false
	}
}

// Reported reports whether the call's log has the lines START, END and REPORT: it
// was handed to an execution environment.
func (r *Record) Reported() bool { return !r.Began.IsZero() }

// Ended is when user code had answered, or the platform ended the call.
func (r *Record) Ended() time.Time { return r.Began.Add(r.Duration) }

// StartLine is the first line of a call's log.
func StartLine(requestID, version string) string {
	return "START RequestId: " + requestID + " Version: " + version
}

// EndLine is the last line but one of a call's log.
func EndLine(requestID string) string { return "END RequestId: " + requestID }

// ReportLine is the last line of a call's log. An init phase that failed is all
// that its call took, and is reported as its duration.
func ReportLine(r *Record) string {
	took := r.Duration
	if r.InitFailed {
		took = r.Init
	}
	b := make([]byte, 0, 256)
	b = append(append(b, "REPORT RequestId: "...), r.RequestID...)
	b = appendMillis(append(b, "\tDuration: "...), took)
	b = strconv.AppendInt(append(b, " ms\tBilled Duration: "...), r.Billed.Milliseconds(), 10)
	b = strconv.AppendInt(append(b, " ms\tMemory Size: "...), int64(r.MemoryMB), 10)
	b = strconv.AppendInt(append(b, " MB\tMax Memory Used: "...), megabytes(r.PeakMemoryBytes), 10)
	b = append(b, " MB\t"...)
	if r.ColdStart && !r.InitFailed {
		b = append(appendMillis(append(b, "Init Duration: "...), r.Init), " ms\t"...)
	}
	switch {
	case r.ErrorType == ErrorTimeout:
		b = append(b, "Status: timeout"...)
	case r.InitFailed || PlatformEnded(r.ErrorType):
		b = append(append(b, "Status: error\tError Type: "...), r.ErrorType...)
	}
	return string(b)
}

func appendMillis(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 2, 64)
}

func megabytes(n int64) int64 { return (n + 1<<20 - 1) >> 20 }
