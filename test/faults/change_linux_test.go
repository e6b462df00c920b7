package faults_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/test/nodetest"
)

const throttled = fault.Throttled

// TestChangesDuringABurst updates a function while it is called from all sides,
// and deletes it in the end: every call is answered, or told that there is no
// such function.
func TestChangesDuringABurst(t *testing.T) {
	const callers, updates = 100, 6
	n := startNode(t)
	before := n.baseline(t)
	for language := range languages {
		name := "burst-" + language
		n.put(t, name, language, wire.Settings{MaxEnvironments: 4, Env: map[string]string{"ROUND": "0"}})
		var answered, missed atomic.Int32
		var deleted atomic.Bool
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for {
					gone := deleted.Load()
					r, err := n.Invoke(t.Context(), name, []byte(`{"wait":0.01}`), client.InvokeOptions{})
					switch {
					case err == nil && r.FunctionError == "":
						answered.Add(1)
					case fault.Is(err, fault.NotFound, "FunctionNotFound"):
						missed.Add(1)
						return
					default:
						t.Errorf("%s: got %+v, %v", name, r, err)
						return
					}
					if gone {
						t.Errorf("%s answered a call that came after it was deleted", name)
						return
					}
				}
			})
		}
		for i := range updates {
			until := answered.Load() + callers/2
			nodetest.Eventually(t, "calls are answered", func() bool { return answered.Load() >= until || t.Failed() })
			n.put(t, name, language, wire.Settings{MaxEnvironments: 4, Env: map[string]string{"ROUND": strconv.Itoa(i + 1)}})
		}
		if err := n.DeleteFunction(t.Context(), name); err != nil {
			t.Error(err)
		}
		deleted.Store(true)
		wg.Wait()
		t.Logf("%s: %d calls were answered over %d updates, %d met the deletion", name, answered.Load(), updates, missed.Load())
	}
	n.rested(t, before)
}

// TestTimePassesWhileTheNodeStandsStill stops the node's process for a while, as
// a machine does that is suspended or moved: all its timers are late at once.
func TestTimePassesWhileTheNodeStandsStill(t *testing.T) {
	n := startNode(t, "--freeze-after", "200ms")
	before := n.baseline(t)
	for language := range languages {
		name := "still-" + language
		n.put(t, name, language, wire.Settings{TimeoutSeconds: 2, IdleTimeoutSeconds: 1})
		n.ok(t, name)
		var wg sync.WaitGroup
		for _, payload := range []string{`{"wait":0.5}`, `{"do":"hang"}`, "{}"} {
			wg.Go(func() {
				// Whether the timeout or the answer was seen first is not the point.
				if _, err := n.Invoke(t.Context(), name, []byte(payload), client.InvokeOptions{}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		nodetest.Eventually(t, "calls run", func() bool { return n.Busy(t, name) > 0 })
		n.Pause(3 * time.Second)
		wg.Wait()
		n.ok(t, name)
		nodetest.Eventually(t, "its environments have ended after their idle time", func() bool {
			list, err := n.Environments(t.Context(), name)
			return err == nil && len(list) == 0
		})
	}
	n.rested(t, before)
}
