package faults_test

import (
	"strings"
	"sync"
	"syscall"
	"testing"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/test/nodetest"
)

// TestEnvironmentsThatDie ends environments in every phase of their lives. What
// a function does is never the platform's failure, and its next call runs.
func TestEnvironmentsThatDie(t *testing.T) {
	n := startNode(t, "--init-timeout", "2s")
	before := n.baseline(t)
	t.Run("while they are imported", func(t *testing.T) {
		n.imports(t, "exit", "raise", "eat", "burn")
		n.rested(t, before)
	})
	t.Run("before they answer", func(t *testing.T) {
		n.deeds(t, map[string]string{
			"exit": `{"do":"exit"}`, "raise": `{"do":"raise"}`, "eat": `{"do":"eat"}`, "cut": `{"do":"cut"}`,
			"hang": `{"do":"hang"}`, "burn": `{"do":"burn"}`,
		})
		n.rested(t, before)
	})
	t.Run("after they answered", func(t *testing.T) {
		n.deeds(t, map[string]string{
			"exit": `{"later":"exit","after":0.1}`, "eat": `{"later":"eat","after":0.1}`,
			"cut": `{"later":"cut","after":0.1}`, "raise": `{"later":"raise","after":0.1}`,
		})
		n.rested(t, before)
	})
	t.Run("by a signal", func(t *testing.T) {
		n.killed(t)
		n.rested(t, before)
	})
	t.Run("deaf to signals", func(t *testing.T) {
		for language := range languages {
			n.put(t, "deaf-"+language, language, wire.Settings{})
			if r := n.Call(t, "deaf-"+language, `{"do":"deaf"}`); r.FunctionError != "" {
				t.Errorf("got %s", r.Payload)
			}
		}
		n.rested(t, before)
	})
}

// imports deploys functions that go wrong in their init phase, and calls each
// twice.
func (n node) imports(t *testing.T, ways ...string) {
	t.Helper()
	var wg sync.WaitGroup
	for language := range languages {
		for _, how := range ways {
			name := how + "-" + language
			s := wire.Settings{Env: map[string]string{"IMPORT": how}}
			if how == "burn" {
				s.TimeoutSeconds = 1 // the bound of an init phase is the longer of the two
			}
			n.put(t, name, language, s)
			wg.Go(func() {
				for range 2 {
					r, err := n.Invoke(t.Context(), name, nil, client.InvokeOptions{})
					if err != nil || r.FunctionError == "" {
						t.Errorf("%s: got %+v, %v, want a failure of the function", name, r, err)
					}
				}
			})
		}
	}
	wg.Wait()
}

// deeds deploys a function for each payload, in each language, and calls it with
// that and then without. What asks for a deed at once fails; what asks for one
// later does not, unless the machine is so busy that the answer comes later still.
func (n node) deeds(t *testing.T, payloads map[string]string) {
	t.Helper()
	var wg sync.WaitGroup
	for language := range languages {
		for how, payload := range payloads {
			name := how + "-" + language
			s := wire.Settings{}
			if how == "hang" || how == "burn" {
				s.TimeoutSeconds = 1
			}
			n.put(t, name, language, s)
			wg.Go(func() {
				r, err := n.Invoke(t.Context(), name, []byte(payload), client.InvokeOptions{})
				switch atOnce := strings.Contains(payload, "do"); {
				case err != nil:
					t.Errorf("%s: the platform failed: %v", name, err)
				case atOnce && r.FunctionError == "":
					t.Errorf("%s survived and answered %s", name, r.Payload)
				case s.TimeoutSeconds == 0:
					n.ok(t, name)
				}
			})
		}
	}
	wg.Wait()
}

// killed kills environments from outside: busy, idle and frozen
// ones.
func (n node) killed(t *testing.T) {
	t.Helper()
	for language := range languages {
		name := "killed-" + language
		n.put(t, name, language, wire.Settings{})
		ended := make(chan *client.Result, 1)
		go func() {
			r, err := n.Invoke(t.Context(), name, []byte(`{"wait":600}`), client.InvokeOptions{})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			ended <- r
		}()
		nodetest.Eventually(t, "the call runs", func() bool { return n.Busy(t, name) == 1 })
		n.shoot(t)
		if r := <-ended; r != nil && r.FunctionError == "" {
			t.Errorf("%s: the call outlived its environment: %s", name, r.Payload)
		}
		n.ok(t, name)
		n.shoot(t) // while it is idle
		n.ok(t, name)
		nodetest.Eventually(t, "the environment is frozen", func() bool { return n.InState(t, name, "frozen") == 1 })
		n.shoot(t)
		n.ok(t, name)
	}
}

// shoot kills all sandboxed processes of the node.
func (n node) shoot(t *testing.T) {
	t.Helper()
	for _, pid := range n.PIDs() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			t.Error(err)
		}
	}
}

// TestALeakEndsItsEnvironmentAlone lets functions hoard memory call by call.
func TestALeakEndsItsEnvironmentAlone(t *testing.T) {
	n := startNode(t)
	before := n.baseline(t)
	for language := range languages {
		name := "leak-" + language
		n.put(t, name, language, wire.Settings{})
		died := 0
		for range 60 { // 480 MB, in 128
			if r := n.Call(t, name, `{"do":"leak"}`); r.FunctionError != "" {
				died++
			}
		}
		if died == 0 || died > 12 {
			t.Errorf("%s: %d of 60 calls failed, want one now and then", name, died)
		}
		n.ok(t, name)
	}
	n.rested(t, before)
}
