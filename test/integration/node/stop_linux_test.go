package node_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/test/nodetest"
)

// get reads a page of the data plane.
func get(address string) (status int, body string, err error) {
	resp, err := http.Get(address)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), errors.Join(err, resp.Body.Close())
}

func TestDrain(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	n.deploy(t, "node", "node", wire.Settings{})
	n.deployRelease(t, "page", 5)
	if _, err := n.PutURL(t.Context(), "page", wire.URLSpec{}); err != nil {
		t.Fatal(err)
	}
	n.Want(t, "page", "{}", "5")
	slow := nodetest.Zipped(t, "app.py", []byte("import time\ndef handler(event, context):\n    time.sleep(2)\n    return 'late'\n"))
	if _, err := n.Put(t.Context(), "page", slow, releases, client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { n.Want(t, "node", `{"do":"sleep","ms":2000}`, `{"do":"sleep","ms":2000}`) })
	wg.Go(func() {
		status, body, err := get(n.Gateway + "/fn/default/page/")
		if status != http.StatusOK || body != "late" || err != nil {
			t.Errorf("the page answered %d %q, %v", status, body, err)
		}
	})
	following := make(chan error, 1)
	go func() {
		following <- n.FollowLogs(t.Context(), "node", client.LogQuery{}, func(wire.Line) error { return nil })
	}()
	nodetest.Eventually(t, "both calls run", func() bool { return n.Busy(t, "node") == 1 && n.Busy(t, "page") == 1 })

	kept := &http.Client{Transport: &http.Transport{}} // with a connection from before
	resp, err := kept.Do(n.Request(t.Context(), http.MethodGet, "/readyz", ""))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("readiness: %v, %v", resp, err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	n.Signal(syscall.SIGTERM)
	select {
	case err := <-following:
		nodetest.WantFault(t, err, fault.Unavailable, "Draining")
	case <-time.After(nodetest.EndLimit):
		t.Error("the log is followed although the node stops")
	}
	// Whoever comes now, on whatever connection, is refused.
	if resp, err := kept.Do(n.Request(t.Context(), http.MethodPost, "/v1/namespaces/default/functions/node/invocations", "1")); err == nil {
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a stopping node answered %s", resp.Status)
		}
		resp.Body.Close()
	}
	if _, err := n.Invoke(t.Context(), "node", []byte("1"), client.InvokeOptions{}); !fault.Is(err, fault.Unavailable, "") {
		t.Errorf("a stopping node: got %v, want Unavailable", err)
	}
	wg.Wait()
	if code := n.End(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	n.Gone()
}

func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--drain-timeout", "1s")
	n.deploy(t, "node", "node", wire.Settings{})
	n.deploy(t, "python", "python", wire.Settings{})
	var wg sync.WaitGroup
	for name, payload := range map[string]string{"node": `{"do":"burn"}`, "python": `{"do":"sleep","ms":60000}`} {
		wg.Go(func() {
			r, err := n.Invoke(t.Context(), name, []byte(payload), client.InvokeOptions{})
			if err == nil {
				t.Errorf("a call of a minute ended with %+v", r)
			}
		})
	}
	nodetest.Eventually(t, "both calls run", func() bool { return n.Busy(t, "node") == 1 && n.Busy(t, "python") == 1 })
	began := time.Now()
	n.Signal(syscall.SIGTERM)
	if code := n.End(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if took := time.Since(began); took < time.Second || took > 50*time.Second {
		t.Errorf("the node stopped after %s with a drain timeout of 1s", took)
	}
	wg.Wait()
	n.Gone()
	if !strings.Contains(n.Log.String(), "cut off") {
		t.Error("the node's log does not tell that calls were cut off")
	}
	n.Start()
	n.Want(t, "python", "1", "1")
}

// TestSecondSignal ends a node that would wait for a call.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	n.deploy(t, "python", "python", wire.Settings{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := n.Invoke(t.Context(), "python", []byte(`{"do":"sleep","ms":60000}`), client.InvokeOptions{}); err == nil {
			t.Error("the call outlived the node")
		}
	})
	nodetest.Eventually(t, "the call runs", func() bool { return n.Busy(t, "python") == 1 })
	n.Signal(syscall.SIGTERM)
	nodetest.Eventually(t, "the node drains", func() bool { return strings.Contains(n.Log.String(), "node is stopping") })
	n.Signal(syscall.SIGTERM)
	if code := n.End(); code == 0 {
		t.Error("exit code 0 after a second signal")
	}
	wg.Wait()
	nodetest.Eventually(t, "no process is left", func() bool { return len(n.Processes()) == 0 })
	n.Start()
	n.Want(t, "python", "1", "1")
}

// TestSignalWhileStarting stops and kills a node that does not serve yet.
func TestSignalWhileStarting(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	n.deploy(t, "python", "python", wire.Settings{})
	n.Stop()
	early := func(s syscall.Signal) int {
		n.Launch()
		time.Sleep(200*time.Millisecond + rand.N(400*time.Millisecond)) // anywhere in its start
		n.Signal(s)
		return n.End()
	}
	for range 3 {
		// Before the process has a say, the signal ends it.
		if code := early(syscall.SIGTERM); code != 0 && code != -1 {
			t.Errorf("exit code %d, want 0: %s", code, n.Log)
		}
		n.Gone()
	}
	for range 2 {
		early(syscall.SIGKILL)
	}
	n.Start()
	n.Want(t, "python", "1", "1")
}
