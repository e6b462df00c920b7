package environment_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/environment/environmenttest"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, w *environmenttest.World) *environment.Environment {
	t.Helper()
	e, err := w.Factory().Start(t.Context(), environmenttest.Version("f"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		w.Balanced(t)
	})
	return e
}

func TestACallIsAccountedFor(t *testing.T) {
	w := &environmenttest.World{
		Handle: func(_ context.Context, inv *invocation.Invocation, say func(string)) (*invocation.Result, error) {
			say("hello")
			return &invocation.Result{Payload: inv.Payload}, nil
		},
	}
	e := start(t, w)
	result, reusable, err := e.Invoke(t.Context(), environmenttest.Call("r1", "f", `{"a":1}`))
	if err != nil || !reusable || string(result.Payload) != `{"a":1}` {
		t.Fatalf("got %+v, %v, %v", result, reusable, err)
	}
	want := regexp.MustCompile(`^START RequestId: r1 Version: \$LATEST\nhello\nEND RequestId: r1\n` +
		`REPORT RequestId: r1\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: 42 MB\tInit Duration: \d+\.\d\d ms\t\n$`)
	if !want.Match(result.LogTail) {
		t.Errorf("log tail:\n%s", result.LogTail)
	}
	r := result.Record
	if r.Outcome != invocation.OutcomeOK || r.RequestBytes != 7 || r.Billed < r.Duration || r.Billed%time.Millisecond != 0 {
		t.Errorf("record %+v", r)
	}
	second, _, err := e.Invoke(t.Context(), environmenttest.Call("r2", "f", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(second.LogTail), "Init Duration") || strings.Contains(string(second.LogTail), "r1") {
		t.Errorf("log tail of the second call:\n%s", second.LogTail)
	}
}

func TestHowUserCodeEndsIsReported(t *testing.T) {
	cases := []struct {
		name      string
		timeout   time.Duration
		oom       bool
		handle    func(ctx context.Context) error
		errorType string
		message   string
		outcome   string
	}{
		{
			"timeout", time.Second, false,
			func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
			"Sandbox.Timedout", "RequestId: r1 Error: Task timed out after 1.00 seconds", invocation.OutcomeTimeout,
		},
		{
			"exit with a status", 0, false,
			func(context.Context) error { return &runtimeapi.ExitError{Exit: sandbox.Exit{Code: 3}} },
			"Runtime.ExitError", "RequestId: r1 Error: Runtime exited with error: exit status 3", invocation.OutcomeError,
		},
		{
			"exit without a reason", 0, false,
			func(context.Context) error { return &runtimeapi.ExitError{} },
			"Runtime.ExitError", "RequestId: r1 Error: Runtime exited without providing a reason", invocation.OutcomeError,
		},
		{
			"out of memory", 0, true,
			func(context.Context) error {
				return &runtimeapi.ExitError{Exit: sandbox.Exit{Code: -1, Signal: "killed"}}
			},
			"Runtime.OutOfMemory", "RequestId: r1 Error: Runtime exited with error: signal: killed: out of memory, the function's limit is 128 MB", invocation.OutcomeError,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := &environmenttest.World{
				Handle: func(ctx context.Context, _ *invocation.Invocation, _ func(string)) (*invocation.Result, error) {
					return nil, c.handle(ctx)
				},
			}
			w.OOM.Store(c.oom)
			e := start(t, w)
			if c.timeout > 0 {
				e.Version.Timeout = c.timeout
			}
			result, reusable, err := e.Invoke(t.Context(), environmenttest.Call("r1", "f", `{}`))
			if err != nil || reusable {
				t.Fatalf("reusable %v, error %v", reusable, err)
			}
			if result.ErrorType != c.errorType || result.FunctionError != invocation.Unhandled || result.Record.Outcome != c.outcome || result.Record.ErrorMessage != c.message {
				t.Errorf("got %s, record %+v", result.Payload, result.Record)
			}
			if !strings.Contains(string(result.LogTail), c.message) {
				t.Errorf("the log has no trace of the failure:\n%s", result.LogTail)
			}
		})
	}
}

func TestACrowdedEnvironmentIsGivenUp(t *testing.T) {
	w := &environmenttest.World{}
	e := start(t, w)
	w.PIDs.Store(512)
	if result, reusable, err := e.Invoke(t.Context(), environmenttest.Call("r1", "f", `{}`)); err != nil || !reusable || strings.Contains(string(result.LogTail), "left") {
		t.Fatalf("at the most processes: reusable %v, error %v, log\n%s", reusable, err, result.LogTail)
	}
	w.PIDs.Store(513)
	result, reusable, err := e.Invoke(t.Context(), environmenttest.Call("r2", "f", `{}`))
	if err != nil || reusable || result.FunctionError != "" {
		t.Fatalf("beyond: reusable %v, error %v, result %+v", reusable, err, result)
	}
	if want := "513 processes and threads are left"; !strings.Contains(string(result.LogTail), want) {
		t.Errorf("log has no %q:\n%s", want, result.LogTail)
	}
}

func TestAFailedInitIsTheResultOfTheWaitingCall(t *testing.T) {
	cases := []struct {
		name      string
		init      func(ctx context.Context) error
		errorType string
		payload   string
	}{
		{
			"reported by user code",
			func(context.Context) error {
				return &runtimeapi.InitError{Type: "Runtime.ImportModuleError", Payload: []byte(`{"errorMessage":"no module","errorType":"Runtime.ImportModuleError"}`)}
			},
			"Runtime.ImportModuleError", `{"errorMessage":"no module","errorType":"Runtime.ImportModuleError"}`,
		},
		{
			"exit",
			func(context.Context) error { return &runtimeapi.ExitError{Exit: sandbox.Exit{Code: 1}} },
			"Runtime.ExitError", `{"errorMessage":"RequestId: r1 Error: Runtime exited with error: exit status 1","errorType":"Runtime.ExitError"}`,
		},
		{
			"timeout",
			func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
			"Sandbox.Timedout", `{"errorMessage":"RequestId: r1 Error: Task timed out after 1.00 seconds","errorType":"Sandbox.Timedout"}`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := &environmenttest.World{Init: c.init}
			v := environmenttest.Version("f")
			v.Timeout = time.Second
			_, err := w.Factory().Start(t.Context(), v, nil)
			failure, ok := errors.AsType[*environment.InitError](err)
			if !ok {
				t.Fatalf("got %v, want an InitError", err)
			}
			result := failure.Result(environmenttest.Call("r1", "f", `{}`))
			if result.ErrorType != c.errorType || string(result.Payload) != c.payload || result.FunctionError != invocation.Unhandled {
				t.Errorf("got %s %s", result.ErrorType, result.Payload)
			}
			if r := result.Record; !r.ColdStart || r.Outcome == invocation.OutcomeOK || r.PeakMemoryBytes == 0 {
				t.Errorf("record %+v", r)
			}
			if !strings.Contains(string(result.LogTail), "\tStatus: ") {
				t.Errorf("REPORT says nothing about the failure:\n%s", result.LogTail)
			}
			w.Balanced(t)
		})
	}
}

func TestABootstrapThatCannotStartIsInTheLog(t *testing.T) {
	w := &environmenttest.World{Init: func(context.Context) error {
		return &runtimeapi.InitError{Type: "Runtime.InvalidEntrypoint", Payload: []byte(`{"errorMessage":"no bootstrap","errorType":"Runtime.InvalidEntrypoint"}`)}
	}}
	_, err := w.Factory().Start(t.Context(), environmenttest.Version("f"), nil)
	failure, ok := errors.AsType[*environment.InitError](err)
	if !ok {
		t.Fatalf("got %v, want an InitError", err)
	}
	result := failure.Result(environmenttest.Call("r1", "f", `{}`))
	for _, want := range []string{"\nno bootstrap\nEND ", "Status: error\tError Type: Runtime.InvalidEntrypoint"} {
		if !strings.Contains(string(result.LogTail), want) {
			t.Errorf("the log lacks %q:\n%s", want, result.LogTail)
		}
	}
	w.Balanced(t)
}

func TestAStoppedEnvironmentTakesNoCall(t *testing.T) {
	w := &environmenttest.World{}
	e := start(t, w)
	if !e.Retire() || e.Retire() {
		t.Error("Retire is true for one caller only")
	}
	if _, _, err := e.Invoke(t.Context(), environmenttest.Call("r1", "f", `{}`)); err == nil {
		t.Error("a draining environment took a call")
	}
	for range 2 {
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if e.Alive() || e.State() != environment.Gone {
		t.Errorf("after Stop: alive %v, %s", e.Alive(), e.State())
	}
}

func TestStopTriesAgain(t *testing.T) {
	w := &environmenttest.World{}
	e := start(t, w)
	w.Stuck.Store(2)
	if err := e.Stop(t.Context()); err != nil {
		t.Errorf("two failures were not overcome: %v", err)
	}
	w.Balanced(t)

	e = start(t, w)
	w.Stuck.Store(3)
	if err := e.Stop(t.Context()); err == nil {
		t.Error("three failures were not reported")
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Errorf("a later Stop: %v", err)
	}
}

func TestTheTailKeepsTheEnd(t *testing.T) {
	w := &environmenttest.World{
		Handle: func(_ context.Context, _ *invocation.Invocation, say func(string)) (*invocation.Result, error) {
			for range 1000 {
				say(strings.Repeat("x", 99))
			}
			return &invocation.Result{}, nil
		},
	}
	result, _, err := start(t, w).Invoke(t.Context(), environmenttest.Call("r1", "f", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(result.LogTail); n != invocation.LogTailBytes {
		t.Errorf("the tail has %d bytes, want %d", n, invocation.LogTailBytes)
	}
	if !strings.Contains(string(result.LogTail), "REPORT RequestId: r1") {
		t.Error("the tail lacks the REPORT line")
	}
}
