package invocation_test

import (
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

func TestServerTimingListsThePhasesInTheirOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		record invocation.Record
		want   string
	}{
		{
			"warm call",
			invocation.Record{Queue: 12_400, Duration: 1500 * time.Microsecond},
			"queue;dur=0.012, handler;dur=1.5",
		},
		{
			"cold start",
			invocation.Record{
				ColdStart: true, ColdStartReason: invocation.ReasonScaleOut,
				Queue: 2 * time.Millisecond, Sandbox: 3 * time.Millisecond, Runtime: 0, Load: 250 * time.Microsecond,
				Init: 40 * time.Millisecond, Duration: time.Second,
			},
			`cold;desc="scale-out", queue;dur=2, sandbox;dur=3, runtime;dur=0, load;dur=0.25, init;dur=40, handler;dur=1000`,
		},
		{
			"cold start without a reason",
			invocation.Record{ColdStart: true},
			"cold, queue;dur=0, sandbox;dur=0, runtime;dur=0, load;dur=0, init;dur=0, handler;dur=0",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.record.ServerTiming(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
