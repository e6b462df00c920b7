package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string) (store *telemetry.Store, stop func()) {
	t.Helper()
	s, err := telemetry.Open(t.Context(), telemetry.Config{Dir: dir, Retention: time.Hour, MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func line(function, request, text string) telemetry.Line {
	return telemetry.Line{Time: time.Now(), Namespace: "default", Function: function, RequestID: request, Stream: "stdout", Text: text}
}

// collect follows q until n lines have come.
func collect(t *testing.T, s *telemetry.Store, q telemetry.LogQuery, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	enough := errors.New("enough")
	var got []string
	err := s.Follow(ctx, q, func(l telemetry.Line) error {
		got = append(got, l.Text)
		if len(got) == n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("follow: got %d of %d lines, then %v", len(got), n, err)
	}
	return got
}

func TestLinesAreFollowedInOrderAndSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "50% off? #1") // which mean something in a URI
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, stop := open(t, dir)
	for i := range 3 {
		s.Line(line("f", "r1", strconv.Itoa(i)))
		s.Line(line("g", "r2", "other"))
	}
	if got := fmt.Sprint(collect(t, s, telemetry.LogQuery{Function: "f"}, 3)); got != "[0 1 2]" {
		t.Errorf("followed %s, want [0 1 2]", got)
	}
	stop()

	s, stop = open(t, dir)
	defer stop()
	lines, err := s.Logs(t.Context(), telemetry.LogQuery{Function: "f", Limit: 2, Newest: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 2 || lines[0].Text != "1" || lines[1].Text != "2" {
		t.Errorf("newest two after a restart: %+v, want 1 and 2", lines)
	}
	none, err := s.Logs(t.Context(), telemetry.LogQuery{Function: "f", After: lines[1].Cursor})
	if err != nil || len(none) != 0 {
		t.Errorf("after the last cursor: %v, %v, want nothing", none, err)
	}
}

func TestFollowFromNowSkipsEarlierLines(t *testing.T) {
	s, stop := open(t, t.TempDir())
	defer stop()
	s.Line(line("f", "r", "old"))
	collect(t, s, telemetry.LogQuery{}, 1)
	started := make(chan struct{})
	go func() {
		<-started
		s.Line(line("f", "r", "new"))
	}()
	close(started)
	// The new line may be stored before Follow looks for the last one; writing
	// goes on until it is seen.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	enough := errors.New("enough")
	go func() {
		for ctx.Err() == nil {
			s.Line(line("f", "r", "new"))
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	err := s.Follow(ctx, telemetry.LogQuery{Limit: -1}, func(l telemetry.Line) error {
		if l.Text != "new" {
			return fmt.Errorf("got the earlier line %q", l.Text)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
}

func TestRecordsAreNewestFirstAndFoundByRequest(t *testing.T) {
	s, stop := open(t, t.TempDir())
	defer stop()
	for i := range 5 {
		s.Record(&invocation.Record{RequestID: fmt.Sprint("r", i), Namespace: "default", Function: "f", Received: time.Now(), Duration: time.Duration(i)})
	}
	s.Line(line("f", "r", "after the records"))
	collect(t, s, telemetry.LogQuery{}, 1)
	page, err := s.Records(t.Context(), telemetry.RecordQuery{Function: "f", Limit: 2})
	if err != nil || len(page) != 2 || page[0].RequestID != "r4" {
		t.Fatalf("first page: %+v, %v, want r4 and r3", page, err)
	}
	page, err = s.Records(t.Context(), telemetry.RecordQuery{Function: "f", Before: page[1].Cursor})
	if err != nil || len(page) != 3 || page[0].RequestID != "r2" {
		t.Fatalf("second page: %+v, %v, want r2 to r0", page, err)
	}
	r, err := s.RecordOf(t.Context(), "r3")
	if err != nil || r.Duration != 3 {
		t.Errorf("record r3: %+v, %v", r, err)
	}
	if _, err := s.RecordOf(t.Context(), "nobody"); !fault.Is(err, fault.NotFound, "InvocationNotFound") {
		t.Errorf("unknown request: %v, want InvocationNotFound", err)
	}
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	s, err := telemetry.Open(t.Context(), telemetry.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for range 40000 { // more than the queue holds, and nobody writes
		s.Line(line("f", "r", "x"))
	}
	if s.Dropped() == 0 {
		t.Error("nothing was counted as dropped")
	}
	if got := s.Dropped() + int64(s.Queued()); got != 40000 {
		t.Errorf("dropped and queued are %d together, want 40000", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestLargeLinesDoNotFillTheMemory queues lines of the largest size while nothing
// is written; what was written makes room again.
func TestLargeLinesDoNotFillTheMemory(t *testing.T) {
	s, err := telemetry.Open(t.Context(), telemetry.Config{Dir: t.TempDir(), Retention: time.Hour, MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	const room, size = 64 << 20, 256 << 10
	text := strings.Repeat("x", size)
	for range room/size + 10 {
		s.Line(line("f", "r", text))
	}
	if queued, dropped := s.Queued(), s.Dropped(); queued != room/size || dropped != 10 {
		t.Errorf("%d lines are queued and %d dropped, want %d and 10", queued, dropped, room/size)
	}
	if _, err := s.Logs(t.Context(), telemetry.LogQuery{Namespace: "default", Function: "f", Limit: 1}); err != nil {
		t.Fatal(err)
	}
	s.Line(line("f", "r", text))
	if queued, dropped := s.Queued(), s.Dropped(); queued != 1 || dropped != 10 {
		t.Errorf("after the queue was written %d lines are queued and %d dropped, want 1 and 10", queued, dropped)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestAQueryFindsWhatWasQueuedBeforeIt(t *testing.T) {
	s, stop := open(t, t.TempDir())
	defer stop()
	for i := range 50 {
		id := strconv.Itoa(i)
		s.Line(line("f", id, "hello"))
		s.Record(&invocation.Record{RequestID: id, Namespace: "default", Function: "f", Received: time.Now()})
		switch lines, err := s.Logs(t.Context(), telemetry.LogQuery{RequestID: id}); {
		case err != nil:
			t.Fatal(err)
		case len(lines) != 1:
			t.Fatalf("call %d: got %d lines, want the one that was just written", i, len(lines))
		}
		if _, err := s.RecordOf(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBatchesOfEverySizeKeepTheirOrder(t *testing.T) {
	for _, n := range []int{1, 31, 32, 33, 96, 100, 5000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			s, stop := open(t, t.TempDir())
			defer stop()
			for i := range n {
				id := strconv.Itoa(i)
				s.Line(line("f", id, id))
				s.Record(&invocation.Record{RequestID: id, Namespace: "default", Function: "f", Received: time.Now()})
			}
			lines, err := s.Logs(t.Context(), telemetry.LogQuery{Limit: telemetry.MaxLimit})
			if err != nil || len(lines) != n {
				t.Fatalf("%d lines, %v, want %d", len(lines), err, n)
			}
			for i, l := range lines {
				if l.Text != strconv.Itoa(i) || l.RequestID != l.Text {
					t.Fatalf("line %d is %q of %s", i, l.Text, l.RequestID)
				}
			}
			if r, err := s.RecordOf(t.Context(), strconv.Itoa(n-1)); err != nil || r.Function != "f" {
				t.Errorf("the last record is %+v, %v", r, err)
			}
		})
	}
}
