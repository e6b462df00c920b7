package faults_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
)

// TestAFloodNextDoorStarvesNobody calls a well-behaved function once in a while
// beside a flood of another over 200 connections. It is never refused; how long
// its calls took is reported.
func TestAFloodNextDoorStarvesNobody(t *testing.T) {
	const connections, samples = 200, 60
	// Fewer calls at once than the flood has connections: it has to wait in turns.
	n := startNode(t, "--max-concurrency", "64")
	before := n.baseline(t)
	n.put(t, "good", "node", wire.Settings{})
	n.put(t, "noisy", "node", wire.Settings{})
	n.ok(t, "good")
	n.ok(t, "noisy")
	alone := n.sample(t, samples)

	flood, end := context.WithCancel(t.Context())
	defer end()
	transport := &http.Transport{MaxIdleConnsPerHost: connections}
	browser := &http.Client{Transport: transport}
	var served atomic.Int64
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for flood.Err() == nil {
				if !n.isRefused(t, flood, browser, "noisy", "{}") {
					served.Add(1)
				}
			}
		})
	}
	beside := n.sample(t, samples)
	end()
	wg.Wait()
	transport.CloseIdleConnections()
	if served.Load() < connections {
		t.Errorf("the flood was none: %d calls", served.Load())
	}
	t.Logf("alone: p50 %s, p90 %s, most %s", alone[samples/2], alone[samples*9/10], alone[samples-1])
	t.Logf("beside a flood of %d connections (%d calls served): p50 %s, p90 %s, most %s",
		connections, served.Load(), beside[samples/2], beside[samples*9/10], beside[samples-1])
	n.rested(t, before)
}

// sample calls the well-behaved function a number of times and returns how long
// that took, sorted.
func (n node) sample(t *testing.T, calls int) []time.Duration {
	t.Helper()
	took := make([]time.Duration, 0, calls)
	for range calls {
		began := time.Now()
		r, err := n.Invoke(t.Context(), "good", nil, client.InvokeOptions{})
		if err != nil || r.FunctionError != "" {
			t.Fatalf("the well-behaved function: %+v, %v", r, err)
		}
		took = append(took, time.Since(began))
		time.Sleep(20 * time.Millisecond) // once in a while
	}
	slices.Sort(took)
	return took
}
