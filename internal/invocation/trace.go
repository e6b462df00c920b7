package invocation

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"time"
)

// tracePattern is what an X-Ray trace header is made of.
var tracePattern = regexp.MustCompile(`^Root=[A-Za-z0-9=;:_ -]{1,250}$`)

// Trace returns the trace header of a call: the caller's, or if that is empty
// or not valid one that begins a trace and is not sampled.
func Trace(given string, now time.Time) string {
	if tracePattern.MatchString(given) {
		return given
	}
	var random [20]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program instead
	return fmt.Sprintf("Root=1-%08x-%x;Parent=%x;Sampled=0", now.Unix(), random[:12], random[12:])
}
