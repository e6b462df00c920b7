package telemetry_test

import (
	"fmt"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/telemetry"
)

// BenchmarkStore is what a warm invocation leaves behind: three lines of the
// platform's and a record, from the queue to the disk.
func BenchmarkStore(b *testing.B) {
	s, err := telemetry.Open(b.Context(), telemetry.Config{Dir: b.TempDir(), Retention: time.Hour, MaxBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(b.Context()) }()
	now := time.Now()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		id := fmt.Sprintf("0f3c3f1e-6f0c-4f5b-9d1b-%012x", n*7919)
		for _, text := range []string{
			"START RequestId: " + id + " Version: $LATEST", "END RequestId: " + id,
			"REPORT RequestId: " + id + "\tDuration: 0.21 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tMax Memory Used: 34 MB\t",
		} {
			s.Line(telemetry.Line{
				Time: now, Namespace: "default", Function: "hello", RequestID: id,
				Environment: "e-0f3c3f1e6f0c4f5b9d1b000000000000", Stream: "platform", Text: text,
			})
		}
		s.Record(&invocation.Record{
			RequestID: id, Namespace: "default", Function: "hello", Version: "$LATEST", Revision: id, Outcome: invocation.OutcomeOK,
			Environment: "e-0f3c3f1e6f0c4f5b9d1b000000000000", Trigger: "url", Received: now, Duration: 210 * time.Microsecond,
			Billed: time.Millisecond, CPU: 100 * time.Microsecond, MemoryMB: 128, PeakMemoryBytes: 34 << 20, RequestBytes: 700,
		})
		if n%1000 == 0 { // the queue holds more, so that none is dropped
			if _, err := s.Logs(b.Context(), telemetry.LogQuery{Limit: 1}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if dropped := s.Dropped(); dropped > 0 {
		b.Errorf("%d entries were dropped", dropped)
	}
}
