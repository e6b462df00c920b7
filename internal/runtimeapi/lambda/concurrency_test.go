package lambda_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

// playMany launches a session whose runtime is the test and may have n invocations.
func playMany(tb testing.TB, n int) (runtimeapi.Session, *pretend) {
	tb.Helper()
	p := &pretend{done: make(chan struct{})}
	v := &function.Version{}
	v.Concurrency = n
	s, _ := launchVersion(tb, p, v)
	tb.Cleanup(func() { p.out.Close() })
	return s, p
}

// fetch asks for an invocation on the connection and returns its id.
func (w *wire) fetch(tb testing.TB) string {
	tb.Helper()
	resp, body := w.receive(tb)
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("next = %d %s", resp.StatusCode, body)
	}
	return resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
}

func TestRuntimeIsToldItsConcurrency(t *testing.T) {
	for n, want := range map[int]string{0: "", 1: "", 8: "8"} {
		_, p := playMany(t, n)
		got := ""
		for _, kv := range p.cmd.Env {
			if value, ok := strings.CutPrefix(kv, "AWS_LAMBDA_MAX_CONCURRENCY="); ok {
				got = value
			}
		}
		if got != want {
			t.Errorf("concurrency %d: the runtime is told %q, want %q", n, got, want)
		}
	}
}

func TestInvocationsRunAtOnce(t *testing.T) {
	const n = 4
	s, p := playMany(t, n)
	var conns [n]*wire
	for i := range conns { // all wait before there is an invocation
		conns[i] = dial(t, p)
		conns[i].send(t, request("GET", apiPath+"invocation/next", ""))
		ready(t, s) // the first one ends the init phase
	}
	var done [n]<-chan outcome
	held := map[string]*wire{}
	for i := range done {
		done[i] = begin(t, s, call(fmt.Sprint("c-", i), "{}"))
	}
	for _, w := range conns {
		held[w.fetch(t)] = w
	}
	if len(held) != n {
		t.Fatalf("the runtime has %d invocations, want %d", len(held), n)
	}
	if _, err := s.Invoke(t.Context(), call("c-9", "{}")); err == nil {
		t.Error("one invocation more than the concurrency was accepted")
	}
	for i := n - 1; i >= 0; i-- { // answered in another order, on other connections
		id := fmt.Sprint("c-", i)
		if status, errorType := ask(t, p, "POST", apiPath+"invocation/"+id+"/response", id); status != http.StatusAccepted {
			t.Errorf("answer = %d %s", status, errorType)
		}
		o := <-done[i]
		if o.err != nil {
			t.Fatal(o.err)
		}
		wantResult(t, o.res, id, "")
		if status, errorType := ask(t, p, "POST", apiPath+"invocation/"+id+"/response", id); status != http.StatusForbidden || errorType != "InvalidStateTransition" {
			t.Errorf("second answer = %d %s, want 403 InvalidStateTransition", status, errorType)
		}
	}
}

func TestRuntimeOfSeveralMayAskWhileItWorks(t *testing.T) {
	s, p := playMany(t, 2)
	w, done := started(t, s, p, "m-1")
	other := dial(t, p)
	other.send(t, request("GET", apiPath+"invocation/next", ""))
	second := begin(t, s, call("m-2", "{}"))
	if id := other.fetch(t); id != "m-2" {
		t.Fatalf("next gave %q", id)
	}
	// Two more may wait ahead while both run: of three, one is refused.
	first := make(chan int, 3)
	for range 3 {
		ahead := dial(t, p)
		ahead.send(t, request("GET", apiPath+"invocation/next", ""))
		go func() {
			if resp, err := http.ReadResponse(ahead.r, nil); err == nil {
				resp.Body.Close()
				first <- resp.StatusCode
			}
		}()
	}
	if status := <-first; status != http.StatusForbidden {
		t.Errorf("a third /next ahead = %d, want 403", status)
	}
	w.send(t, request("POST", apiPath+"invocation/m-1/response", "one"))
	o := <-done
	wantResult(t, o.res, "one", "")
	ask(t, p, "POST", apiPath+"invocation/m-2/response", "two")
	o = <-second
	wantResult(t, o.res, "two", "")
}

// TestManyInvocationsOnManyConnections has as many loops as invocations ask and
// answer as fast as they can, on connections that last and on such that don't.
func TestManyInvocationsOnManyConnections(t *testing.T) {
	const slots, rounds = 8, 50
	s, p := playMany(t, slots)
	var runtime, callers sync.WaitGroup
	for i := range slots {
		runtime.Go(func() { loop(t, p, i%2 == 0) })
		callers.Go(func() {
			for n := range rounds {
				id := fmt.Sprintf("x-%d-%d", i, n)
				res, err := s.Invoke(t.Context(), call(id, id))
				if err != nil {
					t.Error(err)
					return
				}
				wantResult(t, res, id, "")
			}
		})
	}
	callers.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	runtime.Wait()
}

// loop answers invocations with their ids until the session ends, all on one
// connection or each on its own.
func loop(t *testing.T, p *pretend, lasting bool) {
	t.Helper()
	for {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.api())
		if err != nil {
			return
		}
		w := &wire{Conn: c, r: bufio.NewReader(c)}
		more := w.answerOne(t)
		for more && lasting {
			more = w.answerOne(t)
		}
		w.Close()
		if !more {
			return
		}
	}
}

// answerOne asks for an invocation and answers it. It reports false when the
// connection has ended.
func (w *wire) answerOne(t *testing.T) bool {
	t.Helper()
	next, id, err := w.exchange(request("GET", apiPath+"invocation/next", ""))
	if err != nil {
		return false
	}
	if got := next.Header.Get("Lambda-Runtime-Aws-Request-Id"); got != id {
		t.Errorf("invocation %q has the payload %q", got, id)
	}
	resp, body, err := w.exchange(request("POST", apiPath+"invocation/"+id+"/response", id))
	if err == nil && resp.StatusCode != http.StatusAccepted {
		t.Errorf("answer = %d %s", resp.StatusCode, body)
	}
	return err == nil
}

func (w *wire) exchange(text string) (resp *reply, body string, err error) {
	if _, err := io.WriteString(w, text); err != nil {
		return nil, "", err
	}
	r, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return nil, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return &reply{r.StatusCode, r.Header}, string(b), err
}
