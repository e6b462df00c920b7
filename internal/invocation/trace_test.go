package invocation_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

func TestTrace(t *testing.T) {
	const own = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	if got := invocation.Trace(own, time.Now()); got != own {
		t.Errorf("the caller's trace became %q", got)
	}
	begun := regexp.MustCompile(`^Root=1-5759e988-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`)
	for _, given := range []string{"", "Parent=1", "Root=a\r\nX: 1", "Root=" + strings.Repeat("a", 300)} {
		if got := invocation.Trace(given, time.Unix(0x5759e988, 0)); !begun.MatchString(got) {
			t.Errorf("%q: got %q", given, got)
		}
	}
}
