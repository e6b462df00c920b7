package invocation_test

import (
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

func TestReportLine(t *testing.T) {
	warm := invocation.Record{
		RequestID: "r1", Duration: 1234567 * time.Nanosecond, Billed: 2 * time.Millisecond,
		MemoryMB: 128, PeakMemoryBytes: 41<<20 + 1, Outcome: invocation.OutcomeOK,
	}
	const measured = "REPORT RequestId: r1\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 42 MB\t"
	tests := []struct {
		name   string
		change func(r *invocation.Record)
		want   string
	}{
		{"warm", func(*invocation.Record) {}, measured},
		{"cold", func(r *invocation.Record) { r.ColdStart, r.Init = true, 98765*time.Microsecond }, measured + "Init Duration: 98.77 ms\t"},
		{"timeout", func(r *invocation.Record) { r.ErrorType = invocation.ErrorTimeout }, measured + "Status: timeout"},
		{"exit", func(r *invocation.Record) { r.ErrorType = "Runtime.ExitError" }, measured + "Status: error\tError Type: Runtime.ExitError"},
		{"the function's own error", func(r *invocation.Record) { r.ErrorType = "TypeError" }, measured},
		{"failed init", func(r *invocation.Record) {
			r.ColdStart, r.InitFailed, r.Init, r.Duration, r.ErrorType = true, true, r.Duration, 0, "Runtime.ImportModuleError"
		}, measured + "Status: error\tError Type: Runtime.ImportModuleError"},
		{"init out of time", func(r *invocation.Record) {
			r.ColdStart, r.InitFailed, r.Init, r.Duration, r.ErrorType = true, true, r.Duration, 0, invocation.ErrorTimeout
		}, measured + "Status: timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := warm
			tt.change(&r)
			if got := invocation.ReportLine(&r); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestOnlyCallsThatBeganAreReported(t *testing.T) {
	refused := invocation.Record{RequestID: "r1", Received: time.Now()}
	if refused.Reported() {
		t.Error("a refused call is reported")
	}
	ran := invocation.Record{Began: time.Unix(100, 0), Duration: time.Second}
	if !ran.Reported() || !ran.Ended().Equal(time.Unix(101, 0)) {
		t.Errorf("reported %v, ended %v, want true and a second after it began", ran.Reported(), ran.Ended())
	}
}
