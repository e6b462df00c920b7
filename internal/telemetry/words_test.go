package telemetry_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/telemetry"
)

var began = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// finished is the record of a call that took a second.
func finished(id string) *invocation.Record {
	return &invocation.Record{
		RequestID: id, Namespace: "default", Function: "f", Version: "$LATEST", Environment: "e-1", Outcome: invocation.OutcomeOK,
		Received: began, Began: began, Duration: time.Second, Billed: time.Second, MemoryMB: 128, PeakMemoryBytes: 1 << 20,
	}
}

func report(id string) string {
	return "REPORT RequestId: " + id + "\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\t"
}

func texts(lines []telemetry.Line) []string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

func TestALogHasStartEndAndReportAroundTheFunctionsLines(t *testing.T) {
	s, stop := open(t, t.TempDir())
	defer stop()
	s.Record(finished("silent"))
	s.Line(line("f", "loud", "START RequestId: loud Version: $LATEST")) // by the environment, before the first line
	s.Line(line("f", "loud", "hello"))
	s.Record(&invocation.Record{RequestID: "refused", Namespace: "default", Function: "f", Received: began})
	loud := finished("loud")
	loud.StartWritten = true
	s.Record(loud)
	want := []string{
		"START RequestId: silent Version: $LATEST", "END RequestId: silent", report("silent"),
		"START RequestId: loud Version: $LATEST", "hello", "END RequestId: loud", report("loud"),
	}
	lines, err := s.Logs(t.Context(), telemetry.LogQuery{Namespace: "default", Function: "f"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, texts(lines)); diff != "" {
		t.Fatalf("log (-want +got):\n%s", diff)
	}
	first := telemetry.Line{
		Cursor: lines[0].Cursor, Time: began, Namespace: "default", Function: "f", RequestID: "silent",
		Environment: "e-1", Stream: "platform", Text: want[0],
	}
	if diff := cmp.Diff(first, lines[0]); diff != "" {
		t.Errorf("START (-want +got):\n%s", diff)
	}
	if !lines[2].Time.Equal(began.Add(time.Second)) {
		t.Errorf("REPORT is of %v, want a second after START", lines[2].Time)
	}
	one, err := s.Logs(t.Context(), telemetry.LogQuery{Function: "f", RequestID: "loud"})
	if diff := cmp.Diff(want[3:], texts(one)); err != nil || diff != "" {
		t.Errorf("log of one request: %v (-want +got):\n%s", err, diff)
	}
	late, err := s.Logs(t.Context(), telemetry.LogQuery{Function: "f", RequestID: "silent", Since: began.Add(1)})
	if diff := cmp.Diff(want[1:3], texts(late)); err != nil || diff != "" {
		t.Errorf("log since just after START: %v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff(want, collect(t, s, telemetry.LogQuery{Function: "f"}, len(want))); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
}

// TestEveryCursorContinuesALog reads a log in pages of each size, forwards, and
// its end in each length.
func TestEveryCursorContinuesALog(t *testing.T) {
	s, stop := open(t, t.TempDir())
	defer stop()
	for _, id := range []string{"a", "b", "c"} {
		s.Line(line("f", id, "out of "+id))
		s.Record(finished(id))
		if _, err := s.RecordOf(t.Context(), id); err != nil { // writes it, so that the chunk grows
			t.Fatal(err)
		}
	}
	all, err := s.Logs(t.Context(), telemetry.LogQuery{Function: "f"})
	if err != nil || len(all) != 12 {
		t.Fatalf("%d lines, %v, want 12", len(all), err)
	}
	for size := 1; size <= len(all); size++ {
		var paged []telemetry.Line
		q := telemetry.LogQuery{Function: "f", Limit: size}
		for {
			page, err := s.Logs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			paged, q.After = append(paged, page...), page[len(page)-1].Cursor
		}
		if diff := cmp.Diff(all, paged); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, diff)
		}
		newest, err := s.Logs(t.Context(), telemetry.LogQuery{Function: "f", Limit: size, Newest: true})
		if diff := cmp.Diff(all[len(all)-size:], newest); err != nil || diff != "" {
			t.Errorf("newest %d: %v (-want +got):\n%s", size, err, diff)
		}
	}
}

func TestARecordComesBackWhole(t *testing.T) {
	s, stop := open(t, t.TempDir())
	defer stop()
	want := invocation.Record{
		RequestID: "0f3c3f1e-6f0c-4f5b-9d1b-2f6f3a0c9b11", Namespace: "n", Function: "f", Version: "3", Revision: "rev", Environment: "e-1",
		Trigger: "url", Received: began, Began: began.Add(1), StartWritten: true, Outcome: invocation.OutcomeError, ErrorType: "TypeError",
		ErrorMessage: strings.Repeat("é", 500), ColdStart: true, InitFailed: true, ColdStartReason: invocation.ReasonEvicted,
		Queue: 1, Sandbox: 2, Runtime: 3, Load: 4, Init: 5, Duration: 6, Billed: 7, CPU: 8, Delay: 11,
		MemoryMB: 128, PeakMemoryBytes: 1 << 40, RequestBytes: 9, ResponseBytes: 10, TraceID: "Root=1",
	}
	for field, value := range reflect.ValueOf(want).Fields() {
		if value.IsZero() {
			t.Errorf("the test leaves out %s", field.Name)
		}
	}
	s.Record(&want)
	got, err := s.RecordOf(t.Context(), want.RequestID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	empty := invocation.Record{RequestID: "empty", Received: began}
	s.Record(&empty)
	if got, err := s.RecordOf(t.Context(), "empty"); err != nil || got != empty {
		t.Errorf("got %+v, %v, want %+v", got, err, empty)
	}
}
