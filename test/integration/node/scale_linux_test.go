package node_test

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/test/nodetest"
)

// open makes a file next to the code of a function, where its environments see
// it.
func (n *node) open(t *testing.T, f wire.Function, file string) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(n.Dir, "code", "*"+f.Code.SHA256+"*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("the code is in %q, %v", dirs, err)
	}
	if err := os.WriteFile(filepath.Join(dirs[0], file), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentCallsHaveAnEnvironmentEach(t *testing.T) {
	t.Parallel()
	const calls = 200
	// More than the machine may have: these environments use little of theirs.
	n := startNode(t, "--memory", "32GiB", "--init-timeout", "1m")
	f := n.deploy(t, "python", "python", wire.Settings{TimeoutSeconds: 120})
	var places sync.Map
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			r, err := n.Invoke(t.Context(), "python", []byte(`{"do":"wait","file":"go"}`), client.InvokeOptions{})
			if err != nil || r.FunctionError != "" {
				t.Errorf("a call ended with %+v, %v", r, err)
				return
			}
			if other, taken := places.LoadOrStore(string(r.Payload), r.RequestID); taken {
				t.Errorf("the calls %s and %s had one environment at the same time", other, r.RequestID)
			}
		})
	}
	nodetest.Eventually(t, "all calls run", func() bool { return t.Failed() || n.Metric("mayfly_environments_busy") == calls })
	n.open(t, f, "go")
	wg.Wait()
	list, err := n.Environments(t.Context(), "python")
	if err != nil || len(list) != calls {
		t.Errorf("%d environments, %v, want %d", len(list), err, calls)
	}
	for range 5 { // one after the other, they take one
		r := n.Call(t, "python", `{"do":"wait","file":"go"}`)
		if _, known := places.Load(string(r.Payload)); !known || r.ColdStart {
			t.Errorf("a call ran in a new environment %s", r.Payload)
		}
	}
}

func TestMemoryBoundsEnvironments(t *testing.T) {
	t.Parallel()
	const environments, calls = 4, 40
	n := startNode(t, "--memory", strconv.Itoa(environments*128)+"MiB", "--init-timeout", "1m")
	n.deploy(t, "first", "python", wire.Settings{})
	n.deploy(t, "second", "python", wire.Settings{})
	var most atomic.Int32
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			r, err := n.Invoke(t.Context(), []string{"first", "second"}[i%2], []byte(`{"do":"sleep","ms":100}`), client.InvokeOptions{})
			if err != nil || r.FunctionError != "" {
				t.Errorf("a call ended with %+v, %v", r, err)
			}
			if load, err := n.Node(t.Context()); err == nil && int32(load.Running.MemoryMB) > most.Load() {
				most.Store(int32(load.Running.MemoryMB))
			}
		})
	}
	wg.Wait()
	// What an environment is found to use may be more than was expected.
	if most.Load() > environments*128*5/4 {
		t.Errorf("%d MB were set aside for environments, want hardly more than %d", most.Load(), environments*128)
	}
	n.deploy(t, "large", "python", wire.Settings{MemoryMB: 1024})
	_, err := n.Invoke(t.Context(), "large", nil, client.InvokeOptions{})
	nodetest.WantFault(t, err, fault.Unavailable, "NodeMemory")
}

func TestNodeConcurrency(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--max-concurrency", "2")
	n.deploy(t, "node", "node", wire.Settings{TimeoutSeconds: 10})
	n.deploy(t, "python", "python", wire.Settings{QueueTimeoutSeconds: 0.1, TimeoutSeconds: 10})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { n.Call(t, "node", `{"do":"sleep","ms":2500}`) })
	}
	nodetest.Eventually(t, "two calls run", func() bool { return n.Busy(t, "node") == 2 })
	n.wantThrottled(t, "python", "NodeConcurrency")
	wg.Wait()
	n.Want(t, "python", "1", "1")
	nodetest.Eventually(t, "the throttled call is recorded", func() bool {
		page, err := n.Invocations(t.Context(), "python", "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Invocations) == 2 && page.Invocations[1].Outcome == "throttled"
	})
}
