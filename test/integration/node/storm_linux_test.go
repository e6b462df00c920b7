package node_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/test/nodetest"
)

// TestNothingIsLeftAfterAStorm calls functions that fail in every way while they
// are changed and deleted, and compares what the node holds before and after.
func TestNothingIsLeftAfterAStorm(t *testing.T) {
	t.Parallel()
	const callers, calls = 16, 1000
	n := startNode(t, "--stems", "off", "--freeze-after", "0s") // what is held is counted
	weather := []struct {
		name, language string
		memory         int
	}{{"storm-node", "node", 128}, {"storm-python", "python", 128}, {"storm-custom", "custom", 128}}
	deploy := func() {
		for _, w := range weather {
			n.deploy(t, w.name, w.language, wire.Settings{TimeoutSeconds: 3, MemoryMB: w.memory})
		}
	}
	calm := func() {
		for _, w := range weather {
			if err := n.DeleteFunction(t.Context(), w.name); err != nil && !fault.Is(err, fault.NotFound, "") {
				t.Error(err)
			}
		}
		nodetest.Eventually(t, "all environments have ended", func() bool {
			return n.Metric("mayfly_environments_memory_bytes") == 0 && len(n.Processes()) == 0
		})
		n.Client.Close()
	}
	deploy()
	for _, w := range weather {
		n.Want(t, w.name, "1", "1")
	}
	calm()
	before := n.Held()

	deploy()
	deeds := map[string][]string{
		"storm-node":   {`{"do":"throw"}`, `{"do":"exit","code":1}`, `{"do":"burn"}`, `{"do":"fork"}`},
		"storm-python": {`{"do":"fail"}`, `{"do":"leave","code":1}`, `{"do":"eat"}`, `{"do":"sleep","ms":5000}`},
		"storm-custom": {"2"},
	}
	var left, answered, refused atomic.Int32
	left.Store(calls)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				w := weather[rand.IntN(len(weather))]
				payload := "1"
				if rand.IntN(10) == 0 {
					payload = deeds[w.name][rand.IntN(len(deeds[w.name]))]
				}
				_, err := n.Invoke(t.Context(), w.name, []byte(payload), client.InvokeOptions{})
				switch e := fault.From(err); {
				case err == nil:
					answered.Add(1)
				case e.Kind == fault.NotFound, e.Kind == fault.Conflict: // deleted, or being made again
					refused.Add(1)
				default:
					t.Errorf("the platform failed: %v", err)
				}
			}
		})
	}
	wg.Go(func() { n.stir(t, &left) })
	wg.Wait()
	t.Logf("%d calls were answered, %d met a deleted function", answered.Load(), refused.Load())
	if answered.Load() < calls/2 {
		t.Error("the storm was none")
	}
	calm()
	n.Rested(t, before)
	deploy()
	for _, w := range weather {
		n.Want(t, w.name, "1", "1")
	}
	for line := range strings.Lines(n.Log.String()) {
		if strings.Contains(line, "level=ERROR") {
			t.Errorf("the node logged %s", line)
		}
	}
}

// stir changes and deletes functions until no calls are left.
func (n *node) stir(t *testing.T, left *atomic.Int32) {
	t.Helper()
	for i := 0; left.Load() > 0; i++ {
		name, language := "storm-node", "node"
		if i%2 == 1 {
			name, language = "storm-python", "python"
		}
		if i%3 == 2 {
			if err := n.DeleteFunction(t.Context(), name); err != nil {
				t.Errorf("delete: %v", err)
			}
		}
		l := languages[language]
		_, err := n.Put(t.Context(), name, packed(t, l.program), wire.Settings{
			Runtime: l.runtime, Handler: l.handler, TimeoutSeconds: 1, Env: map[string]string{"ROUND": strconv.Itoa(i)},
		}, client.PutOptions{})
		if err != nil {
			t.Errorf("deploy: %v", err)
		}
		// Enough calls between two changes that some are warm.
		for until := left.Load() - 40; left.Load() > max(until, 0); {
			time.Sleep(5 * time.Millisecond)
		}
	}
}
