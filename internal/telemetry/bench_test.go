package telemetry_test

import (
	"fmt"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/telemetry"
)

// BenchmarkRecord is the metering of a warm invocation that prints nothing, from
// the queue to the disk.
func BenchmarkRecord(b *testing.B) { meter(b, 0) }

// BenchmarkRecordWithLine is that of one that prints a line.
func BenchmarkRecordWithLine(b *testing.B) { meter(b, 1) }

func meter(b *testing.B, lines int) {
	b.Helper()
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
		for range lines * 2 { // with START
			s.Line(telemetry.Line{
				Time: now, Namespace: "default", Function: "hello", RequestID: id,
				Environment: "e-0f3c3f1e6f0c4f5b9d1b000000000000", Stream: "stdout", Text: "START RequestId: " + id + " Version: $LATEST",
			})
		}
		s.Record(&invocation.Record{
			RequestID: id, Namespace: "default", Function: "hello", Version: "$LATEST", Revision: "0f3c3f1e-6f0c-4f5b-9d1b-000000000000", Outcome: invocation.OutcomeOK,
			Environment: "e-0f3c3f1e6f0c4f5b9d1b000000000000", Trigger: "url", Received: now, Began: now, Duration: 210 * time.Microsecond,
			Billed: time.Millisecond, CPU: 100 * time.Microsecond, MemoryMB: 128, PeakMemoryBytes: 34 << 20, RequestBytes: 700,
			TraceID: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
		})
		if n%1000 == 0 { // the queue holds more, so that none is dropped
			if _, err := s.Logs(b.Context(), telemetry.LogQuery{Namespace: "default", Function: "other", Limit: 1}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if dropped := s.Dropped(); dropped > 0 {
		b.Errorf("%d entries were dropped", dropped)
	}
}
