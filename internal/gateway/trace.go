package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"strconv"
	"time"
)

const headerTrace = "X-Amzn-Trace-Id"

// tracePattern is an X-Ray trace header; what comes in otherwise is replaced.
var tracePattern = regexp.MustCompile(`^[A-Za-z0-9=;:_ -]{1,256}$`)

// traceID continues the caller's trace or begins one.
func traceID(given string, now time.Time) string {
	if given != "" && tracePattern.MatchString(given) {
		return given
	}
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program instead
	return "Root=1-" + strconv.FormatInt(now.Unix(), 16) + "-" + hex.EncodeToString(random[:])
}
