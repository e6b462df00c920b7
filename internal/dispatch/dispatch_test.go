package dispatch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/dispatch"
	"mayfly.dev/mayfly/internal/environment/environmenttest"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/pool"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a dispatcher with real pools over the test's user code.
type node struct {
	*dispatch.Dispatcher

	mu        sync.Mutex
	functions map[string]*function.Function
	records   []*invocation.Record
}

func (n *node) Function(_, name string) (*function.Function, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f := n.functions[name]; f != nil {
		return f, nil
	}
	return nil, fault.New(fault.NotFound, "FunctionNotFound", "there is no function %s", name)
}

func (n *node) put(name string, change func(*function.Function)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := &function.Function{Namespace: "default", Name: name, State: function.Active, Latest: *environmenttest.Version(name)}
	if change != nil {
		change(f)
	}
	n.functions[name] = f
}

func (n *node) record(r *invocation.Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records = append(n.records, r)
}

func (n *node) lastRecord() *invocation.Record {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.records) == 0 {
		return &invocation.Record{}
	}
	return n.records[len(n.records)-1]
}

func run(t *testing.T, w *environmenttest.World, most int, fn func(t *testing.T, n *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		set := pool.NewSet(pool.Config{
			Factory: w.Factory(), MemoryBytes: 256 << 20, KeepWarm: autoscaler.Fixed(time.Hour), MaxConcurrency: most, QueueTimeout: 13 * time.Second,
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- set.Run(ctx) }()
		n := &node{functions: map[string]*function.Function{}}
		n.Dispatcher = dispatch.New(dispatch.Config{
			Functions: n, Pools: set, Record: n.record,
		})
		fn(t, n)
		if left := n.InFlight(); left != 0 {
			t.Errorf("%d calls are still counted", left)
		}
		cancel()
		<-done
		w.Balanced(t)
	})
}

func call(name string) *invocation.Invocation { return environmenttest.Call("r1", name, `{}`) }

func TestACallIsRecordedWithItsPhases(t *testing.T) {
	w := &environmenttest.World{Init: func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }}
	run(t, w, 10, func(t *testing.T, n *node) {
		n.put("f", nil)
		if _, err := n.Invoke(t.Context(), call("f")); err != nil {
			t.Fatal(err)
		}
		r := n.lastRecord()
		if !r.ColdStart || r.ColdStartReason != "first call" || r.Init != 100*time.Millisecond || r.Queue != 0 || r.Outcome != invocation.OutcomeOK {
			t.Errorf("cold: %+v", r)
		}
		if _, err := n.Invoke(t.Context(), call("f")); err != nil {
			t.Fatal(err)
		}
		if r := n.lastRecord(); r.ColdStart || r.Init != 0 || r.Sandbox != 0 {
			t.Errorf("warm: %+v", r)
		}
	})
}

func TestRefusals(t *testing.T) {
	zero := 0
	cases := []struct {
		name    string
		change  func(*function.Function)
		call    func(*invocation.Invocation)
		kind    fault.Kind
		reason  string
		outcome string // of the record; empty: none is written
	}{
		{"unknown function", nil, func(i *invocation.Invocation) { i.Ref.Name = "other" }, fault.NotFound, "FunctionNotFound", ""},
		{"unknown version", nil, func(i *invocation.Invocation) { i.Ref.Qualifier = "7" }, fault.NotFound, "VersionNotFound", ""},
		{"pending", func(f *function.Function) { f.State = function.Pending }, nil, fault.Conflict, "FunctionPending", ""},
		{"failed", func(f *function.Function) { f.State = function.Failed }, nil, fault.Conflict, "FunctionFailed", ""},
		{
			"payload too large", nil,
			func(i *invocation.Invocation) { i.Payload = make([]byte, invocation.MaxRequestBytes+1) },
			fault.TooLarge, "RequestTooLarge", "",
		},
		{"reserved concurrency of zero", func(f *function.Function) { f.ReservedConcurrency = &zero }, nil, fault.Throttled, "ReservedConcurrency", invocation.OutcomeThrottled},
		{"more memory than the node", func(f *function.Function) { f.Latest.MemoryMB = 512 }, nil, fault.Unavailable, "NodeMemory", invocation.OutcomeFault},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			run(t, &environmenttest.World{}, 10, func(t *testing.T, n *node) {
				n.put("f", c.change)
				inv := call("f")
				if c.call != nil {
					c.call(inv)
				}
				if _, err := n.Invoke(t.Context(), inv); !fault.Is(err, c.kind, c.reason) {
					t.Errorf("got %v, want %s %s", err, c.kind, c.reason)
				}
				if got := n.lastRecord().Outcome; got != c.outcome {
					t.Errorf("recorded outcome %q, want %q", got, c.outcome)
				}
			})
		})
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	one := 1
	cases := []struct {
		name   string
		max    int
		change func(*function.Function)
		reason string
	}{
		{"by the function", 10, func(f *function.Function) { f.ReservedConcurrency = &one }, "ReservedConcurrency"},
		{"by the node", 1, nil, "NodeConcurrency"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := &environmenttest.World{
				Handle: func(context.Context, *invocation.Invocation, func(string)) (*invocation.Result, error) {
					time.Sleep(time.Second)
					return &invocation.Result{}, nil
				},
			}
			run(t, w, c.max, func(t *testing.T, n *node) {
				n.put("f", c.change)
				first := make(chan error)
				go func() {
					_, err := n.Invoke(t.Context(), call("f"))
					first <- err
				}()
				synctest.Wait()
				hasty := call("f")
				hasty.FailFast = true
				_, err := n.Invoke(t.Context(), hasty)
				if !fault.Is(err, fault.Throttled, c.reason) || fault.From(err).RetryAfter == 0 {
					t.Errorf("a call that does not wait: %v, want %s with a time to wait", err, c.reason)
				}
				if _, err := n.Invoke(t.Context(), call("f")); err != nil {
					t.Errorf("a call that waits: %v", err)
				}
				if r := n.lastRecord(); r.Queue != time.Second || r.ColdStart {
					t.Errorf("the call that waited has the record %+v", r)
				}
				if err := <-first; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestACallThatReachedUserCodeRunsOn(t *testing.T) {
	w := &environmenttest.World{
		Handle: func(ctx context.Context, _ *invocation.Invocation, _ func(string)) (*invocation.Result, error) {
			time.Sleep(500 * time.Millisecond)
			return &invocation.Result{}, ctx.Err()
		},
	}
	run(t, w, 10, func(t *testing.T, n *node) {
		n.put("f", nil)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := n.Invoke(ctx, call("f")); err != nil {
			t.Errorf("the caller's leaving ended the call: %v", err)
		}
	})
}

func TestACallerWhoLeavesTheQueueIsNotAFailureOfThePlatform(t *testing.T) {
	w := &environmenttest.World{Init: func(context.Context) error { time.Sleep(500 * time.Millisecond); return nil }}
	run(t, w, 10, func(t *testing.T, n *node) {
		n.put("f", nil)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := n.Invoke(ctx, call("f"))
		if !fault.Is(err, fault.Unavailable, "CallerGone") {
			t.Errorf("got %v, want CallerGone", err)
		}
		if r := n.lastRecord(); r.Outcome != invocation.OutcomeFault || r.ErrorType != "CallerGone" {
			t.Errorf("record %+v", r)
		}
	})
}

func TestAFullNodeThrottlesAfterAWait(t *testing.T) {
	w := &environmenttest.World{
		Handle: func(context.Context, *invocation.Invocation, func(string)) (*invocation.Result, error) {
			time.Sleep(time.Minute)
			return &invocation.Result{}, nil
		},
	}
	run(t, w, 10, func(t *testing.T, n *node) {
		n.put("big", func(f *function.Function) { f.Latest.MemoryMB, f.Latest.Timeout = 256, time.Hour })
		n.put("f", nil)
		busy := make(chan error)
		go func() {
			_, err := n.Invoke(t.Context(), call("big"))
			busy <- err
		}()
		synctest.Wait()
		began := time.Now()
		_, err := n.Invoke(t.Context(), call("f"))
		if waited := time.Since(began); !fault.Is(err, fault.Throttled, "NodeMemory") || waited != 13*time.Second {
			t.Errorf("after %s: %v, want NodeMemory after 13s", waited, err)
		}
		if err := <-busy; err != nil {
			t.Error(err)
		}
	})
}

func TestAFailedInitIsAResult(t *testing.T) {
	w := &environmenttest.World{
		Init: func(context.Context) error {
			return &runtimeapi.InitError{Type: "Runtime.ImportModuleError", Payload: []byte(`{"errorType":"Runtime.ImportModuleError","errorMessage":"x"}`)}
		},
	}
	run(t, w, 10, func(t *testing.T, n *node) {
		n.put("f", nil)
		for range 2 {
			result, err := n.Invoke(t.Context(), call("f"))
			if err != nil || result.ErrorType != "Runtime.ImportModuleError" {
				t.Fatalf("got %+v, %v", result, err)
			}
			if r := n.lastRecord(); r.Outcome != invocation.OutcomeError || !r.ColdStart {
				t.Errorf("record %+v", r)
			}
		}
	})
}

func TestPlatformFailuresAreRecorded(t *testing.T) {
	w := &environmenttest.World{Init: func(context.Context) error { return errors.New("the disk is on fire") }}
	run(t, w, 10, func(t *testing.T, n *node) {
		n.put("f", nil)
		_, err := n.Invoke(t.Context(), call("f"))
		if err == nil || fault.From(err).Kind != fault.Internal {
			t.Fatalf("got %v, want an internal error", err)
		}
		if r := n.lastRecord(); r.Outcome != invocation.OutcomeFault {
			t.Errorf("record %+v", r)
		}
	})
}

func TestDrainWaitsForCallsAndRefusesNewOnes(t *testing.T) {
	w := &environmenttest.World{
		Handle: func(context.Context, *invocation.Invocation, func(string)) (*invocation.Result, error) {
			time.Sleep(2 * time.Second)
			return &invocation.Result{}, nil
		},
	}
	run(t, w, 10, func(t *testing.T, n *node) {
		n.put("f", nil)
		running := make(chan error)
		go func() {
			_, err := n.Invoke(t.Context(), call("f"))
			running <- err
		}()
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain within less than the call takes: %v", err)
		}
		if _, err := n.Invoke(t.Context(), call("f")); !fault.Is(err, fault.Unavailable, "Draining") {
			t.Errorf("a new call while draining: %v", err)
		}
		drained := make(chan error)
		go func() { drained <- n.Drain(t.Context()) }()
		if err := <-running; err != nil {
			t.Error(err)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

func TestAReplacedFunctionRunsItsNewRevision(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, 10, func(t *testing.T, n *node) {
		n.put("f", nil)
		for _, revision := range []string{"1", "2"} {
			n.put("f", func(f *function.Function) { f.Latest.Revision = revision })
			time.Sleep(time.Second)
			if _, err := n.Invoke(t.Context(), call("f")); err != nil {
				t.Fatal(err)
			}
			if got := n.lastRecord().Revision; got != revision {
				t.Errorf("revision %s ran, want %s", got, revision)
			}
		}
	})
}

// TestCallsTakenAheadOutliveTheirEnvironment has calls wait in an environment that
// ends: each of them runs once, in another.
func TestCallsTakenAheadOutliveTheirEnvironment(t *testing.T) {
	ran := map[string]int{}
	var mu sync.Mutex
	w := &environmenttest.World{
		Ahead: 8,
		Handle: func(_ context.Context, inv *invocation.Invocation, _ func(string)) (*invocation.Result, error) {
			mu.Lock()
			ran[inv.ID]++
			mu.Unlock()
			time.Sleep(time.Millisecond)
			if inv.ID == "fatal" {
				return nil, &runtimeapi.ExitError{Exit: sandbox.Exit{Code: 1}}
			}
			return &invocation.Result{Payload: inv.Payload}, nil
		},
	}
	run(t, w, 10, func(t *testing.T, n *node) {
		n.put("f", nil)
		for range 10 { // by now it is known that calls are short
			if _, err := n.Invoke(t.Context(), call("f")); err != nil {
				t.Fatal(err)
			}
		}
		outcomes := make(chan string)
		invoke := func(id string) {
			inv := call("f")
			inv.ID = id
			result, err := n.Invoke(t.Context(), inv)
			if err != nil {
				outcomes <- id + " " + err.Error()
				return
			}
			outcomes <- id + " " + result.ErrorType
		}
		go invoke("fatal")
		synctest.Wait()
		for _, id := range []string{"a", "b", "c"} {
			go invoke(id)
			synctest.Wait() // it is in the environment of the first now
		}
		got := map[string]bool{}
		for range 4 {
			got[<-outcomes] = true
		}
		for _, want := range []string{"fatal Runtime.ExitError", "a ", "b ", "c "} {
			if !got[want] {
				t.Errorf("outcomes %v, want %q among them", got, want)
			}
		}
		for _, id := range []string{"fatal", "a", "b", "c"} {
			if ran[id] != 1 {
				t.Errorf("user code ran %s %d times", id, ran[id])
			}
		}
		if created := w.Created.Load(); created < 2 {
			t.Errorf("%d environments, want another after the one that ended", created)
		}
	})
}

func BenchmarkInvokeWarm(b *testing.B) {
	w := &environmenttest.World{}
	set := pool.NewSet(pool.Config{Factory: w.Factory(), MemoryBytes: 1 << 40, KeepWarm: autoscaler.Fixed(time.Hour)})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- set.Run(ctx) }()
	n := &node{functions: map[string]*function.Function{}}
	n.Dispatcher = dispatch.New(dispatch.Config{
		Functions: n, Pools: set, Record: func(*invocation.Record) {},
	})
	n.put("f", nil)
	b.ReportAllocs()
	for b.Loop() {
		inv := call("f")
		inv.WantLogTail = false
		if _, err := n.Invoke(ctx, inv); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	<-done
}

func TestACallerThatGoesBeforeTheEnvironmentIsReadyIsNoFailureOfThePlatform(t *testing.T) {
	starting := make(chan struct{})
	w := &environmenttest.World{Init: func(ctx context.Context) error {
		close(starting)
		time.Sleep(time.Second)
		return nil
	}}
	run(t, w, 10, func(t *testing.T, n *node) {
		n.put("f", nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-starting; cancel() }()
		if _, err := n.Invoke(ctx, call("f")); !fault.Is(err, fault.Unavailable, "CallerGone") {
			t.Errorf("got %v, want Unavailable Canceled", err)
		}
	})
}
