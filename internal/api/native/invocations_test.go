package native_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
)

func TestInvokePassesPayloadsByteForByte(t *testing.T) {
	b := newBench(t)
	b.invoker.do = func(_ context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
		return &invocation.Result{
			Payload: inv.Payload, ContentType: "application/json", ExecutedVersion: function.Latest, LogTail: []byte("END\n"),
			Record: &invocation.Record{
				ColdStart: true, ColdStartReason: invocation.ReasonExpired, Queue: time.Millisecond, Sandbox: 2 * time.Millisecond,
				Runtime: 30 * time.Millisecond, Load: 250 * time.Microsecond, Init: 20 * time.Millisecond,
				Duration: 1500 * time.Microsecond, Billed: 22 * time.Millisecond,
			},
		}, nil
	}
	payload := []byte("{ \"a\" : \"\\u00e9\\/<&>\" }\n")
	got, err := b.client.Invoke(t.Context(), "hello", payload, client.InvokeOptions{LogTail: true, ClientContext: []byte(`{"app":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	want := &client.Result{
		RequestID: b.invoker.last.ID, Payload: payload, ContentType: "application/json", ExecutedVersion: function.Latest,
		LogTail: []byte("END\n"), ColdStart: true, ColdStartReason: "expired", Queue: time.Millisecond, Sandbox: 2 * time.Millisecond,
		Runtime: 30 * time.Millisecond, Load: 250 * time.Microsecond, Init: 20 * time.Millisecond, Duration: 1500 * time.Microsecond, Billed: 22 * time.Millisecond,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	inv := b.invoker.last
	if inv.ARN != "arn:aws:lambda:us-east-1:000000000000:function:hello" || string(inv.ClientContext) != `{"app":1}` ||
		!inv.WantLogTail || inv.Trigger != "api" || inv.Received.IsZero() {
		t.Errorf("invocation: got %+v", inv)
	}
}

func TestPhasesComeAsServerTimingIfAskedFor(t *testing.T) {
	b := newBench(t)
	b.invoker.do = func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
		return &invocation.Result{Record: &invocation.Record{Queue: time.Millisecond, Duration: 2 * time.Millisecond}}, nil
	}
	for ask, want := range map[string]string{"": "", "0": "", "1": "queue;dur=1, handler;dur=2"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+"/v1/namespaces/default/functions/hello/invocations", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if ask != "" {
			req.Header.Set(invocation.TimingRequestHeader, ask)
		}
		resp, err := b.server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get(wire.HeaderServerTiming); got != want {
			t.Errorf("%s: %q: got %q, want %q", invocation.TimingRequestHeader, ask, got, want)
		}
	}
}

func TestLargestPayloadPasses(t *testing.T) {
	b := newBench(t)
	b.invoker.do = func(_ context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
		return &invocation.Result{Payload: inv.Payload}, nil
	}
	payload := []byte(`"` + strings.Repeat("x", invocation.MaxRequestBytes-2) + `"`)
	got, err := b.client.Invoke(t.Context(), "hello", payload, client.InvokeOptions{})
	if err != nil || !bytes.Equal(got.Payload, payload) {
		t.Errorf("got %d bytes, %v, want the same %d", len(got.Payload), err, len(payload))
	}
	_, err = b.client.Invoke(t.Context(), "hello", append(payload, ' '), client.InvokeOptions{})
	if !fault.Is(err, fault.TooLarge, "RequestTooLarge") {
		t.Errorf("one byte more: got %v, want RequestTooLarge", err)
	}
}

func TestFunctionErrorIsAResult(t *testing.T) {
	b := newBench(t)
	b.invoker.do = func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
		return invocation.Failed("Sandbox.Timedout", "Task timed out after 1.00 seconds"), nil
	}
	got, err := b.client.Invoke(t.Context(), "hello", nil, client.InvokeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.FunctionError != invocation.Unhandled || got.ErrorType != "Sandbox.Timedout" || !strings.Contains(string(got.Payload), "timed out") {
		t.Errorf("got %+v", got)
	}
	if payload := string(b.invoker.last.Payload); payload != "{}" {
		t.Errorf("empty payload: got %q, want {}", payload)
	}
}

func TestThrottleSaysWhenToComeBack(t *testing.T) {
	b := newBench(t)
	b.invoker.do = func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
		return nil, &fault.Error{Kind: fault.Throttled, Reason: "ReservedConcurrency", Detail: "no", RetryAfter: 1500 * time.Millisecond}
	}
	_, err := b.client.Invoke(t.Context(), "hello", nil, client.InvokeOptions{})
	e, _ := errors.AsType[*fault.Error](err)
	if e == nil || e.Kind != fault.Throttled || e.RetryAfter != 1500*time.Millisecond {
		t.Errorf("got %#v, want Throttled after 1.5 s", err)
	}
	resp := b.raw(t, "POST", "/v1/namespaces/default/functions/hello/invocations", token, "{}")
	if resp.status != http.StatusTooManyRequests || resp.header.Get("Retry-After") != "2" {
		t.Errorf("got %d, Retry-After %q, want 429 and 2", resp.status, resp.header.Get("Retry-After"))
	}
}

func TestInvokeRefuses(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name, payload string
		opts          client.InvokeOptions
		reason        string
	}{
		{"payload that is not JSON", "{", client.InvokeOptions{}, "InvalidJSON"},
		{"client context that is not JSON", "{}", client.InvokeOptions{ClientContext: []byte("{")}, "ClientContext"},
		{"large client context", "{}", client.InvokeOptions{ClientContext: []byte(`"` + strings.Repeat("x", 3583) + `"`)}, "ClientContext"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := b.client.Invoke(t.Context(), "hello", []byte(c.payload), c.opts)
			if !fault.Is(err, fault.Invalid, c.reason) {
				t.Errorf("got %v, want %s", err, c.reason)
			}
		})
	}
}

func TestDryRunDoesNotInvoke(t *testing.T) {
	b := newBench(t)
	_, err := b.client.Invoke(t.Context(), "hello", nil, client.InvokeOptions{DryRun: true})
	if !fault.Is(err, fault.NotFound, "FunctionNotFound") {
		t.Errorf("no function: got %v, want FunctionNotFound", err)
	}
	b.deploy(t)
	if _, err := b.client.Invoke(t.Context(), "hello", nil, client.InvokeOptions{DryRun: true}); err != nil {
		t.Errorf("got %v, want nothing", err)
	}
	_, err = b.client.Invoke(t.Context(), "hello", nil, client.InvokeOptions{DryRun: true, Qualifier: "7"})
	if !fault.Is(err, fault.NotFound, "FunctionNotFound") {
		t.Errorf("no version: got %v, want FunctionNotFound", err)
	}
	if b.invoker.last != nil {
		t.Error("a dry run was dispatched")
	}
}

func TestPanicIsAnsweredAsInternal(t *testing.T) {
	b := newBench(t)
	b.invoker.do = func(context.Context, *invocation.Invocation) (*invocation.Result, error) { panic("bug") }
	if _, err := b.client.Invoke(t.Context(), "hello", nil, client.InvokeOptions{}); !fault.Is(err, fault.Internal, "Internal") {
		t.Errorf("got %v, want Internal", err)
	}
}

func TestClientThatGoesCancelsTheInvocation(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	b.invoker.do = func(inner context.Context, _ *invocation.Invocation) (*invocation.Result, error) {
		cancel(errors.New("enough"))
		<-inner.Done()
		ended <- inner.Err()
		return nil, inner.Err()
	}
	if _, err := b.client.Invoke(ctx, "hello", nil, client.InvokeOptions{}); err == nil || err.Error() != "enough" {
		t.Errorf("got %v, want the caller's cause", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("invocation: got %v, want it cancelled", err)
	}
}

func TestRecordsAreListedNewestFirst(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	for _, id := range []string{"one", "two", "three"} {
		b.store.Record(&invocation.Record{
			RequestID: id, Namespace: "default", Function: "hello", Outcome: invocation.OutcomeOK,
			Received: time.Unix(1, 0), Duration: 2500 * time.Microsecond,
		})
	}
	waitFor(t, func() bool {
		_, err := b.client.Invocation(t.Context(), "three")
		return err == nil
	})
	page, err := b.client.Invocations(t.Context(), "hello", "", 2)
	if err != nil || len(page.Invocations) != 2 || page.Next == "" {
		t.Fatalf("first page: got %+v, %v", page, err)
	}
	if r := page.Invocations[0]; r.RequestID != "three" || r.DurationMs != 2.5 {
		t.Errorf("newest: got %+v", r)
	}
	page, err = b.client.Invocations(t.Context(), "hello", page.Next, 2)
	if err != nil || len(page.Invocations) != 1 || page.Next != "" || page.Invocations[0].RequestID != "one" {
		t.Errorf("second page: got %+v, %v", page, err)
	}
	if _, err := b.newClient(t, "mf_other").Invocation(t.Context(), "one"); !fault.Is(err, fault.NotFound, "InvocationNotFound") {
		t.Errorf("another namespace: got %v, want InvocationNotFound", err)
	}
	if _, err := b.client.Invocations(t.Context(), "no", "", 0); !fault.Is(err, fault.NotFound, "FunctionNotFound") {
		t.Errorf("no function: got %v, want FunctionNotFound", err)
	}
}

func TestEnvironmentsNodeAndRuntimes(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	envs, err := b.client.Environments(t.Context(), "hello")
	if err != nil || len(envs) != 1 || envs[0].State != "busy" || envs[0].Invocations != 3 {
		t.Errorf("environments: got %+v, %v", envs, err)
	}
	node, err := b.client.Node(t.Context())
	if err != nil || node.Driver != "none" || node.Gaps == nil {
		t.Errorf("node: got %+v, %v", node, err)
	}
	list, err := b.client.Runtimes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []wire.Runtime{
		{Identifier: "nodejs22.x", Available: true, Family: "nodejs", Interpreter: &wire.Interpreter{Family: "nodejs", Version: "22.1.0", Path: "/usr/bin/node"}},
		{Identifier: "python3.9", Available: true, Family: "python", Interpreter: &wire.Interpreter{Family: "python", Version: "3.11.2", Path: "/usr/bin/python3.11"}, Warning: "python3.9 is served by Python 3.11.2"},
		{Identifier: "provided.al2023", Available: true, Family: "provided"},
		{Identifier: "ruby3.4", Missing: "no interpreter for ruby3.4 was found"},
	}
	if diff := cmp.Diff(want, list.Runtimes); diff != "" {
		t.Errorf("runtimes (-want +got):\n%s", diff)
	}
}
