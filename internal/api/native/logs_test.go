package native_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/api/native"
	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/telemetry"
)

// waitFor asks until the condition holds; the test's own time bounds it.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the condition never held")
		}
	}
}

func (b *bench) write(requestID string, texts ...string) {
	for _, text := range texts {
		b.store.Line(telemetry.Line{
			Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Namespace: "default", Function: "hello",
			RequestID: requestID, Stream: "stdout", Text: text,
		})
	}
}

func texts(lines []wire.Line) []string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

func TestLogsAreReadInPages(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	b.write("r1", "a", "b")
	b.write("r2", "c <&> \u2028 é")
	waitFor(t, func() bool {
		page, err := b.client.Logs(t.Context(), "hello", client.LogQuery{})
		return err == nil && len(page.Lines) == 3
	})
	page, err := b.client.Logs(t.Context(), "hello", client.LogQuery{Limit: 2})
	if err != nil || page.Next == "" {
		t.Fatalf("got %+v, %v", page, err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, texts(page.Lines)); diff != "" {
		t.Errorf("first page (-want +got):\n%s", diff)
	}
	page, err = b.client.Logs(t.Context(), "hello", client.LogQuery{Limit: 2, After: page.Next})
	if err != nil || page.Next != "" {
		t.Fatalf("got %+v, %v", page, err)
	}
	if diff := cmp.Diff([]string{"c <&> \u2028 é"}, texts(page.Lines)); diff != "" {
		t.Errorf("second page (-want +got):\n%s", diff)
	}
	page, err = b.client.Logs(t.Context(), "hello", client.LogQuery{RequestID: "r1", Limit: 1, Newest: true})
	if err != nil || page.Next != "" {
		t.Fatalf("got %+v, %v", page, err)
	}
	if diff := cmp.Diff([]string{"b"}, texts(page.Lines)); diff != "" {
		t.Errorf("newest of one invocation (-want +got):\n%s", diff)
	}
	page, err = b.client.Logs(t.Context(), "hello", client.LogQuery{Since: time.Date(2026, 11, 22, 12, 0, 0, 1, time.UTC)})
	if err != nil || len(page.Lines) != 0 {
		t.Errorf("since: got %+v, %v, want nothing", page, err)
	}
	page, err = b.client.Logs(t.Context(), "hello", client.LogQuery{Until: time.Date(2026, 11, 22, 12, 0, 0, 1, time.UTC)})
	if err != nil || len(page.Lines) != 3 {
		t.Errorf("until: got %+v, %v, want all", page, err)
	}
	if _, err := b.client.Logs(t.Context(), "no", client.LogQuery{}); !fault.Is(err, fault.NotFound, "FunctionNotFound") {
		t.Errorf("no function: got %v, want FunctionNotFound", err)
	}
}

func TestLogsAreFollowed(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	long := strings.Repeat("\x01", 256<<10) // each byte takes six in JSON
	b.write("r1", "before")
	enough := errors.New("enough")
	var got []string
	err := b.client.FollowLogs(t.Context(), "hello", client.LogQuery{}, func(l wire.Line) error {
		got = append(got, l.Text)
		switch len(got) {
		case 1:
			b.write("r2", "two\nlines", long)
		case 3:
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("got %v, want the callback's error", err)
	}
	if diff := cmp.Diff([]string{"before", "two\nlines", long}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestFollowersEndWhenTheNodeStops(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	b.write("r1", "only")
	stopped := false
	err := b.client.FollowLogs(t.Context(), "hello", client.LogQuery{}, func(wire.Line) error {
		if !stopped {
			stopped = true
			close(b.stopping)
		}
		return nil
	})
	if !fault.Is(err, fault.Unavailable, "Draining") {
		t.Errorf("got %v, want Draining", err)
	}
}

func TestFollowersAreBounded(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	b.write("r1", "x")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	const most = 64
	running, ended := make(chan struct{}, most), make(chan error, most)
	for range most {
		go func() {
			ended <- b.client.FollowLogs(ctx, "hello", client.LogQuery{}, func(wire.Line) error {
				running <- struct{}{}
				return nil
			})
		}()
	}
	for range most {
		<-running
	}
	err := b.client.FollowLogs(t.Context(), "hello", client.LogQuery{Limit: -1}, func(wire.Line) error { return nil })
	if !fault.Is(err, fault.Throttled, "TooManyStreams") {
		t.Errorf("one more: got %v, want TooManyStreams", err)
	}
	gone := errors.New("gone")
	cancel(gone)
	for range most {
		if err := <-ended; !errors.Is(err, gone) {
			t.Errorf("got %v, want the caller's cause", err)
		}
	}
	waitFor(t, func() bool { // the places are free again
		enough := errors.New("enough")
		err := b.client.FollowLogs(t.Context(), "hello", client.LogQuery{}, func(wire.Line) error { return enough })
		return errors.Is(err, enough)
	})
}

func TestDescriptionIsCurrent(t *testing.T) {
	got, err := os.ReadFile("../../../docs/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	want := native.New(native.Config{}).Description()
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/openapi.json is not current, run go generate (-want +got):\n%s", diff)
	}
	b := newBench(t)
	resp := b.raw(t, "GET", "/v1/openapi.json", "", "")
	if resp.status != http.StatusOK || resp.header.Get("Content-Type") != "application/openapi+json" {
		t.Errorf("got %d, %s", resp.status, resp.header.Get("Content-Type"))
	}
}
