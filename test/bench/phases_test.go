package main

import (
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

func TestPhasesAreWhatTheNodeTells(t *testing.T) {
	for _, c := range []struct {
		name        string
		record      invocation.Record
		cold, bound bool
	}{
		{"warm", invocation.Record{Queue: time.Millisecond, Duration: 2 * time.Millisecond}, false, false},
		{"cold", invocation.Record{ColdStart: true, ColdStartReason: invocation.ReasonFirst, Runtime: 40 * time.Millisecond, Duration: 2 * time.Millisecond}, true, false},
		{"with a stem", invocation.Record{ColdStart: true, Sandbox: 500 * time.Microsecond, Duration: 2 * time.Millisecond}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := parsePhases(c.record.ServerTiming())
			if p.cold != c.cold || p.bound() != c.bound || p.of["handler"] != c.record.Duration || p.of["runtime"] != c.record.Runtime || p.of["queue"] != c.record.Queue {
				t.Errorf("got %+v from %s", p, c.record.ServerTiming())
			}
		})
	}
	if p := parsePhases(""); p.cold || p.bound() || len(p.of) > 0 {
		t.Errorf("got %+v of no header", p)
	}
}
