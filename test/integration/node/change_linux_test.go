package node_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/test/nodetest"
)

// release is the code of a function that says its number, after a while if told
// to.
func release(t *testing.T, number int) []byte {
	t.Helper()
	return nodetest.Zipped(t, "app.py", fmt.Appendf(nil, `
import time
def handler(event, context):
    time.sleep(event.get("ms", 0) / 1000)
    return %d
`, number))
}

var releases = wire.Settings{Runtime: "python3.10", Handler: "app.handler", TimeoutSeconds: 60}

// deployRelease makes a function, or changes it, and waits until that is in
// force.
func (n *node) deployRelease(t *testing.T, name string, number int) wire.Function {
	t.Helper()
	f, err := n.Put(t.Context(), name, release(t, number), releases, client.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// during runs do while a call of the function is under way, which must return
// result all the same.
func (n *node) during(t *testing.T, name, result string, do func()) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() { n.Want(t, name, `{"ms":1000}`, result) })
	nodetest.Eventually(t, "the call runs", func() bool { return n.Busy(t, name) == 1 })
	do()
	wg.Wait()
}

func (n *node) testUpdate(t *testing.T) {
	t.Parallel()
	n.deployRelease(t, "updated", 1)
	n.during(t, "updated", "1", func() {
		n.deployRelease(t, "updated", 2)
		n.Want(t, "updated", "{}", "2")
	})
	n.Want(t, "updated", "{}", "2")
	nodetest.Eventually(t, "the old environment has ended", func() bool {
		list, err := n.Environments(t.Context(), "updated")
		if err != nil {
			t.Fatal(err)
		}
		return len(list) == 1
	})
}

func (n *node) testDeletion(t *testing.T) {
	t.Parallel()
	n.deployRelease(t, "deleted", 1)
	n.during(t, "deleted", "1", func() {
		if err := n.DeleteFunction(t.Context(), "deleted"); err != nil {
			t.Error(err)
		}
		_, err := n.Invoke(t.Context(), "deleted", nil, client.InvokeOptions{})
		nodetest.WantFault(t, err, fault.NotFound, "FunctionNotFound")
	})
	nodetest.WantFault(t, n.DeleteFunction(t.Context(), "deleted"), fault.NotFound, "FunctionNotFound")
	n.deployRelease(t, "deleted", 2)
	n.Want(t, "deleted", "{}", "2")
}

func (n *node) testTwoUpdates(t *testing.T) {
	t.Parallel()
	for round := range 5 {
		base := n.deployRelease(t, "contested", 0)
		var won, lost atomic.Int32
		var winner atomic.Int32
		var wg sync.WaitGroup
		for i := range 2 {
			number := 10*round + i + 1
			archive := release(t, number)
			wg.Go(func() {
				_, err := n.Put(t.Context(), "contested", archive, releases, client.PutOptions{Revision: base.Revision})
				switch {
				case err == nil:
					won.Add(1)
					winner.Store(int32(number))
				case fault.Is(err, fault.Conflict, ""):
					lost.Add(1)
				default:
					t.Errorf("an update failed with %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 1 {
			t.Errorf("%d updates won and %d met a conflict, want one each", won.Load(), lost.Load())
		}
		n.Want(t, "contested", "{}", strconv.Itoa(int(winner.Load())))
	}
}

func (n *node) testManyCreations(t *testing.T) {
	t.Parallel()
	const creators = 50
	var wins, winner atomic.Int32
	var wg sync.WaitGroup
	for i := range creators {
		archive := release(t, i+1)
		wg.Go(func() {
			_, err := n.Put(t.Context(), "wanted", archive, releases, client.PutOptions{CreateOnly: true})
			switch {
			case err == nil:
				winner.Store(int32(i + 1))
				wins.Add(1)
			case !fault.Is(err, fault.AlreadyExists, "FunctionExists"):
				t.Errorf("a creation failed with %v", err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d creations won, want 1", wins.Load())
	}
	n.Want(t, "wanted", "{}", strconv.Itoa(int(winner.Load())))
}
