package invocation

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// TraceRandomBytes is how many random bytes a trace header takes.
const TraceRandomBytes = 20

// maxTraceBytes bounds a caller's trace header.
const maxTraceBytes = 255

// Trace returns the trace header of a call: the caller's, or if that is empty
// or not valid one that begins a trace and is not sampled.
func Trace(given string, now time.Time) string {
	if ValidTrace(given) {
		return given
	}
	var random [TraceRandomBytes]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program instead
	return string(AppendTrace(nil, now, random))
}

// ValidTrace reports whether a caller's trace header is passed on: it begins with
// Root= and is made of what X-Ray's are made of.
func ValidTrace(given string) bool {
	const root = "Root="
	if len(given) <= len(root) || len(given) > maxTraceBytes || given[:len(root)] != root {
		return false
	}
	for i := range len(given) {
		switch c := given[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case c == '=', c == ';', c == ':', c == '_', c == ' ', c == '-':
		default:
			return false
		}
	}
	return true
}

// AppendTrace appends the header of a trace that begins now and is not sampled.
func AppendTrace(b []byte, now time.Time, random [TraceRandomBytes]byte) []byte {
	seconds := uint32(now.Unix()) // eight digits are what the form has: enough until 2106
	b = append(b, "Root=1-"...)
	b = hex.AppendEncode(b, []byte{byte(seconds >> 24), byte(seconds >> 16), byte(seconds >> 8), byte(seconds)})
	b = append(b, '-')
	b = hex.AppendEncode(b, random[:12])
	b = append(b, ";Parent="...)
	b = hex.AppendEncode(b, random[12:])
	return append(b, ";Sampled=0"...)
}
