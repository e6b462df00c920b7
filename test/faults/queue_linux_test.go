package faults_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/test/nodetest"
)

// TestTenThousandCallsOfAFunctionThatNeverAnswers fills a function's queue. The
// node refuses what is beyond its bound, keeps its memory, and serves others.
func TestTenThousandCallsOfAFunctionThatNeverAnswers(t *testing.T) {
	const calls, workers, bound = 10_000, 1500, 1000
	n := startNode(t, "--max-queue", "1000")
	before := n.baseline(t)
	n.put(t, "never", "python", wire.Settings{MaxEnvironments: 1, QueueTimeoutSeconds: 900, TimeoutSeconds: 900})
	n.put(t, "good", "node", wire.Settings{})
	n.ok(t, "good")
	memory := n.Metric("process_resident_memory_bytes")

	flood, end := context.WithCancel(t.Context())
	defer end()
	transport := &http.Transport{MaxIdleConnsPerHost: workers}
	browser := &http.Client{Transport: transport}
	var left, refused, waiting atomic.Int32
	left.Store(calls)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for flood.Err() == nil && left.Add(-1) >= 0 {
				waiting.Add(1)
				if n.isRefused(t, flood, browser, "never", `{"do":"hang"}`) {
					refused.Add(1)
				}
				waiting.Add(-1)
			}
		})
	}
	peak, served := memory, 0
	nodetest.Eventually(t, "all the calls were refused that the queue has no room for", func() bool {
		n.ok(t, "good")
		served++
		peak = max(peak, n.Metric("process_resident_memory_bytes"))
		return refused.Load() >= calls-bound-1
	})
	if got := n.Metric("mayfly_invocations_waiting"); got != bound {
		t.Errorf("%v calls wait, want %d", got, bound)
	}
	t.Logf("%d calls refused, %d wait or run; beside them %d calls of another function were served", refused.Load(), waiting.Load(), served)
	t.Logf("resident memory of the node: %.0f MB before, %.0f MB at the most", memory/1e6, peak/1e6)
	// Much less without the race detector.
	if most := memory + 1<<30; peak > most {
		t.Errorf("the node's memory grew to %.0f MB, want %.0f at the most", peak/1e6, most/1e6)
	}
	end() // the callers leave
	wg.Wait()
	transport.CloseIdleConnections()
	nodetest.Eventually(t, "nobody waits", func() bool { return n.Metric("mayfly_invocations_waiting") == 0 })
	if err := n.DeleteFunction(t.Context(), "never"); err != nil {
		t.Fatal(err)
	}
	n.shoot(t) // its one call has 15 minutes
	n.rested(t, before)
}

// isRefused calls a function and reports whether the node throttled the call,
// saying so as it should. Nothing else may come but an answer or the end of ctx.
func (n node) isRefused(t *testing.T, ctx context.Context, c *http.Client, name, payload string) bool { //nolint:revive // a helper's first is t
	t.Helper()
	resp, err := c.Do(n.Request(ctx, http.MethodPost, "/v1/namespaces/default/functions/"+name+"/invocations", payload))
	if err != nil {
		if ctx.Err() == nil {
			t.Errorf("call %s: %v", name, err)
		}
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusTooManyRequests {
		if ctx.Err() == nil && resp.StatusCode != http.StatusOK {
			t.Errorf("%s answered %s: %s, %v", name, resp.Status, body, err)
		}
		return false
	}
	var problem wire.Problem
	if err := json.Unmarshal(body, &problem); err != nil || problem.Reason != "QueueFull" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("refused with %s, Retry-After %q, want QueueFull and a time to wait", strings.TrimSpace(string(body)), resp.Header.Get("Retry-After"))
	}
	return true
}

// TestAWaitIsOver gives a call little time in the queue.
func TestACallWhoseTimeInTheQueueIsOverIsRefused(t *testing.T) {
	n := startNode(t)
	before := n.baseline(t)
	n.put(t, "slow", "python", wire.Settings{MaxEnvironments: 1, QueueTimeoutSeconds: 0.2})
	n.ok(t, "slow")
	held := make(chan error, 1)
	go func() {
		_, err := n.Invoke(t.Context(), "slow", []byte(`{"wait":600}`), client.InvokeOptions{})
		held <- err
	}()
	nodetest.Eventually(t, "the one environment is busy", func() bool { return n.Busy(t, "slow") == 1 })
	_, err := n.Invoke(t.Context(), "slow", nil, client.InvokeOptions{})
	nodetest.WantFault(t, err, throttled, "QueueTimeout")
	n.shoot(t)
	if err := <-held; err != nil {
		t.Error(err)
	}
	n.rested(t, before)
}
