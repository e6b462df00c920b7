package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

func TestServerTimingIsThereWhenAskedFor(t *testing.T) {
	warm := &invocation.Record{Queue: 12 * time.Microsecond, Duration: 1300 * time.Microsecond}
	cold := &invocation.Record{
		ColdStart: true, ColdStartReason: invocation.ReasonScaleOut, Sandbox: time.Millisecond,
		Load: 2 * time.Millisecond, Init: 3 * time.Millisecond, Duration: 4 * time.Millisecond,
	}
	const coldPhases = `cold;desc="scale-out", queue;dur=0, sandbox;dur=1, runtime;dur=0, load;dur=2, init;dur=3, handler;dur=4`
	tests := []struct {
		name, ask string
		result    invocation.Result
		status    int
		want      string
	}{
		{"warm", "Mayfly-Timing: 1", invocation.Result{Payload: []byte(`{}`), Record: warm}, 200, "queue;dur=0.012, handler;dur=1.3"},
		{"cold", "mayfly-timing: 1", invocation.Result{Payload: []byte(`{}`), Record: cold}, 200, coldPhases},
		{"a function that failed", "Mayfly-Timing: 1", invocation.Result{FunctionError: "Unhandled", Record: cold}, 502, coldPhases},
		{"a reply that can't be one", "Mayfly-Timing: 1", invocation.Result{Payload: []byte(`{`), Record: warm}, 502, "queue;dur=0.012, handler;dur=1.3"},
		{"not asked for", "X: 1", invocation.Result{Payload: []byte(`{}`), Record: cold}, 200, ""},
		{"asked for otherwise", "Mayfly-Timing: yes", invocation.Result{Payload: []byte(`{}`), Record: cold}, 200, ""},
		{"no record", "Mayfly-Timing: 1", invocation.Result{Payload: []byte(`{}`)}, 200, ""},
	}
	for _, tt := range tests {
		w := newWorld()
		w.result(&tt.result)
		resp, _ := w.serveText(t, get("/fn/default/hello/", "x", tt.ask))
		if got := resp.Header.Get("Server-Timing"); got != tt.want || resp.StatusCode != tt.status {
			t.Errorf("%s: %d %q, want %d %q", tt.name, resp.StatusCode, got, tt.status, tt.want)
		}
	}
	w := newWorld()
	if resp, _ := w.serveText(t, get("/fn/default/other/", "x", "Mayfly-Timing: 1")); resp.StatusCode != http.StatusNotFound || resp.Header.Get("Server-Timing") != "" {
		t.Errorf("no function: %d %v", resp.StatusCode, resp.Header)
	}
}
