package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/test/nodetest"
)

// TestInvoking calls functions of one node in every way that it must bear.
func TestInvoking(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	for l := range languages {
		n.deploy(t, l, l, wire.Settings{})
	}
	t.Run("payloads", n.testPayloads)
	t.Run("large response", n.testLargeResponse)
	t.Run("timeout", n.testTimeout)
	t.Run("timeout of a family", n.testTimeoutOfAFamily)
	t.Run("memory bomb", n.testMemoryBomb)
	t.Run("full tmp", n.testFullTmp)
	t.Run("exit", n.testExit)
	t.Run("function error", n.testFunctionError)
	t.Run("failing init", n.testFailingInit)
	t.Run("function to function", n.testFunctionToFunction)
	t.Run("log", n.testLog)
	t.Run("memory used", n.testMemoryUsed)
	t.Run("warm reuse", n.testWarmReuse)
	t.Run("idle timeout", n.testIdleTimeout)
	t.Run("reserved concurrency", n.testReservedConcurrency)
	t.Run("update", n.testUpdate)
	t.Run("deletion", n.testDeletion)
	t.Run("two updates", n.testTwoUpdates)
	t.Run("many creations", n.testManyCreations)
}

// text is a JSON text of size bytes.
func text(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }

func (n *node) testPayloads(t *testing.T) {
	t.Parallel()
	for l := range languages {
		n.Want(t, l, "", "{}")
		for _, payload := range []string{"1", text(1 << 20), text(invocation.MaxRequestBytes)} {
			n.Want(t, l, payload, payload)
		}
		_, err := n.Invoke(t.Context(), l, []byte(text(invocation.MaxRequestBytes+1)), client.InvokeOptions{})
		nodetest.WantFault(t, err, fault.TooLarge, "RequestTooLarge")
	}
	// What is between the tokens is the caller's too, if no runtime decodes it.
	const loose = "\t{ \"a\" : [1.0, 1e3, \"\u00e9\\u00e9\"] ,\"a\":2}\r\n"
	n.Want(t, "custom", loose, loose)
}

func (n *node) testLargeResponse(t *testing.T) {
	t.Parallel()
	large := func(size int) *client.Result { return n.Call(t, "node", fmt.Sprintf(`{"do":"large","size":%d}`, size)) }
	if r := large(invocation.MaxResponseBytes); r.FunctionError != "" || string(r.Payload) != text(invocation.MaxResponseBytes) {
		t.Errorf("the largest response: %s, %d bytes", r.FunctionError, len(r.Payload))
	}
	if r := large(invocation.MaxResponseBytes + 1); r.FunctionError != "Unhandled" || r.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("one byte more: %q %q, %d bytes", r.FunctionError, r.ErrorType, len(r.Payload))
	}
	n.Want(t, "node", "1", "1")
}

// wantFailure checks how a function failed.
func wantFailure(t *testing.T, r *client.Result, errorType, message string) {
	t.Helper()
	var failure invocation.FunctionFailure
	err := json.Unmarshal(r.Payload, &failure)
	if err != nil || r.FunctionError != "Unhandled" || failure.ErrorType != errorType || !regexp.MustCompile(message).MatchString(failure.ErrorMessage) {
		t.Errorf("got %q %.500s, want Unhandled %s: %s", r.FunctionError, r.Payload, errorType, message)
	}
}

// testFunctionToFunction has a function call others through the platform's API
// inside its sandbox, from a new environment and from one that is warm.
func (n *node) testFunctionToFunction(t *testing.T) {
	t.Parallel()
	n.deploy(t, "asking", "node", wire.Settings{})
	ask := func(method, path, body string) (status int, answer string) {
		t.Helper()
		question, err := json.Marshal(map[string]string{"do": "ask", "method": method, "path": path, "body": body})
		if err != nil {
			t.Fatal(err)
		}
		if body == "" {
			question = []byte(strings.Replace(string(question), `"body":"",`, "", 1))
		}
		r := n.Call(t, "asking", string(question))
		var got struct {
			Status int
			Body   string
		}
		if err := json.Unmarshal(r.Payload, &got); err != nil || r.FunctionError != "" {
			t.Fatalf("%s %s: %s %s", method, path, r.FunctionError, r.Payload)
		}
		return got.Status, got.Body
	}
	for _, callee := range []string{"python", "custom", "node"} {
		if status, body := ask("POST", "/v1/namespaces/default/functions/"+callee+"/invocations", `{"a":1}`); status != http.StatusOK || strings.ReplaceAll(body, " ", "") != `{"a":1}` {
			t.Errorf("%s answers %d %s", callee, status, body)
		}
	}
	if status, body := ask("GET", "/v1/node", ""); status != http.StatusForbidden || !strings.Contains(body, "ActionDenied") {
		t.Errorf("what a function may not do is answered %d %s", status, body)
	}
}

func (n *node) testTimeout(t *testing.T) {
	t.Parallel()
	for language, endless := range map[string]string{"node": `{"do":"burn"}`, "python": `{"do":"sleep","ms":60000}`} {
		name := "slow-" + language
		n.deploy(t, name, language, wire.Settings{TimeoutSeconds: 1})
		n.Want(t, name, "1", "1")
		r := n.Call(t, name, endless)
		wantFailure(t, r, "Sandbox.Timedout", `Task timed out after 1\.00 seconds`)
		if r.Duration < time.Second {
			t.Errorf("%s ended after %s, before its time", language, r.Duration)
		}
		if r := n.Want(t, name, "1", "1"); !r.ColdStart {
			t.Error("the environment of the call that timed out took another")
		}
	}
}

func (n *node) testTimeoutOfAFamily(t *testing.T) {
	t.Parallel()
	// Time and processor enough to have children on a busy machine.
	n.deploy(t, "family", "node", wire.Settings{TimeoutSeconds: 8, MemoryMB: 1769})
	n.Want(t, "family", "1", "1")
	family := func() (pids []string) {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range lines {
			if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), `trap "" TERM HUP INT`) {
				pids = append(pids, path)
			}
		}
		return pids
	}
	ended := make(chan *client.Result)
	go func() {
		r, _ := n.Invoke(t.Context(), "family", []byte(`{"do":"fork"}`), client.InvokeOptions{})
		ended <- r
	}()
	nodetest.Eventually(t, "the children run", func() bool { return len(family()) == 3 })
	r := <-ended
	if r == nil {
		t.Fatal("the platform failed")
	}
	wantFailure(t, r, "Sandbox.Timedout", `Task timed out after 8\.00 seconds`)
	nodetest.Eventually(t, "the children have ended", func() bool { return len(family()) == 0 })
}

func (n *node) testMemoryBomb(t *testing.T) {
	t.Parallel()
	n.deploy(t, "bomb", "python", wire.Settings{})
	n.deploy(t, "neighbour", "python", wire.Settings{})
	home := string(n.Call(t, "neighbour", `{"do":"sleep","ms":0}`).Payload)
	var wg sync.WaitGroup
	wg.Go(func() { n.Want(t, "neighbour", `{"do":"sleep","ms":1500}`, home) })
	nodetest.Eventually(t, "the neighbour works", func() bool { return n.Busy(t, "neighbour") == 1 })
	for range 2 {
		r := n.Call(t, "bomb", `{"do":"eat"}`)
		wantFailure(t, r, "Runtime.OutOfMemory", "out of memory, the function's limit is 128 MB")
		if !strings.Contains(string(r.LogTail), "Error Type: Runtime.OutOfMemory") {
			t.Errorf("the log lacks what happened: %s", r.LogTail)
		}
	}
	wg.Wait()
	n.Want(t, "neighbour", `{"do":"sleep","ms":0}`, home)
	n.Want(t, "bomb", "1", "1")
}

func (n *node) testFullTmp(t *testing.T) {
	t.Parallel()
	// Where /tmp counts as memory, it must fit.
	n.deploy(t, "filler", "node", wire.Settings{MemoryMB: 1024})
	for range 2 { // the space comes back
		r := n.Call(t, "filler", `{"do":"fill"}`)
		var got struct {
			Code string
			MB   int
		}
		if err := json.Unmarshal(r.Payload, &got); err != nil || got.Code != "ENOSPC" || got.MB < 500 || got.MB > 540 {
			t.Errorf("got %s, want ENOSPC after 512 MB", r.Payload)
		}
	}
}

func (n *node) testExit(t *testing.T) {
	t.Parallel()
	for language, deed := range map[string]string{"node": "exit", "python": "leave"} {
		name := "leaver-" + language
		n.deploy(t, name, language, wire.Settings{})
		for code, message := range map[int]string{0: "without providing a reason", 7: "exit status 7"} {
			wantFailure(t, n.Call(t, name, fmt.Sprintf(`{"do":%q,"code":%d}`, deed, code)), "Runtime.ExitError", message)
		}
		n.Want(t, name, "1", "1")
	}
}

func (n *node) testFunctionError(t *testing.T) {
	t.Parallel()
	wantFailure(t, n.Call(t, "node", `{"do":"throw"}`), "TypeError", "^told to fail$")
	wantFailure(t, n.Call(t, "python", `{"do":"fail"}`), "ValueError", "^told to fail$")
}

func (n *node) testFailingInit(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		language, handler, source string
		errorType, message        string
	}{
		"node-nothing":  {"node", "index.nothing", "", "Runtime.HandlerNotFound", "index.nothing is undefined"},
		"node-nofile":   {"node", "absent.handler", "", "Runtime.ImportModuleError", "absent"},
		"node-throws":   {"node", "", "throw new RangeError('at once');", "RangeError", "at once"},
		"node-syntax":   {"node", "", "exports.handler = (", "Runtime.UserCodeSyntaxError", "SyntaxError"},
		"node-exits":    {"node", "", "process.exit(4);", "Runtime.ExitError", "exit status 4"},
		"py-nothing":    {"python", "app.nothing", "", "Runtime.HandlerNotFound", "nothing"},
		"py-nofile":     {"python", "absent.handler", "", "Runtime.ImportModuleError", "absent"},
		"py-raises":     {"python", "", "raise KeyError('at once')", "KeyError", "at once"},
		"custom-exits":  {"custom", "", "#!/bin/sh\nexit 3\n", "Runtime.ExitError", "exit status 3"},
		"custom-absent": {"custom", "", "#!/no/such/shell\n", "Runtime.InvalidEntrypoint", "no bootstrap could be started"},
	}
	for name, c := range cases {
		l := languages[c.language]
		archive := packed(t, l.program)
		if c.source != "" {
			archive = nodetest.Zipped(t, l.program, []byte(c.source))
		}
		settings := wire.Settings{Runtime: l.runtime, Handler: l.handler}
		if c.handler != "" {
			settings.Handler = c.handler
		}
		if _, err := n.Put(t.Context(), name, archive, settings, client.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second call meets the same
			r := n.Call(t, name, "{}")
			wantFailure(t, r, c.errorType, c.message)
			n.logOf(t, name, r.RequestID)
		}
		page, err := n.Logs(t.Context(), name, client.LogQuery{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(page.Lines, func(l wire.Line) bool { return regexp.MustCompile(c.message).MatchString(l.Text) }) {
			t.Errorf("the log of %s does not say why it failed: %+v", name, page.Lines)
		}
	}
}

var report = regexp.MustCompile(`^REPORT RequestId: (\S+)\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\tMemory Size: (\d+) MB\tMax Memory Used: (\d+) MB\t(?:Init Duration: ([\d.]+) ms\t)?$`)

// figures are what a REPORT line says.
type figures struct{ duration, billed, memory, used, init float64 }

func figuresOf(t *testing.T, line string) (f figures) {
	t.Helper()
	parts := report.FindStringSubmatch(line)
	if parts == nil {
		t.Fatalf("not a REPORT line: %q", line)
	}
	for i, field := range []*float64{&f.duration, &f.billed, &f.memory, &f.used, &f.init} {
		if parts[i+2] == "" {
			continue
		}
		var err error
		if *field, err = strconv.ParseFloat(parts[i+2], 64); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// logOf returns the texts of a call's log once it is complete.
func (n *node) logOf(t *testing.T, name, requestID string) (texts []string) {
	t.Helper()
	nodetest.Eventually(t, "the call's log is complete", func() bool {
		page, err := n.Logs(t.Context(), name, client.LogQuery{RequestID: requestID})
		if err != nil {
			t.Fatal(err)
		}
		texts = nil
		for _, l := range page.Lines {
			texts = append(texts, l.Text)
		}
		return len(texts) > 0 && strings.HasPrefix(texts[len(texts)-1], "REPORT ")
	})
	return texts
}

func (n *node) testLog(t *testing.T) {
	t.Parallel()
	n.deploy(t, "printer", "node", wire.Settings{})
	for _, cold := range []bool{true, false} {
		r := n.Want(t, "printer", `{"do":"print","lines":["one","two"]}`, "2")
		lines := n.logOf(t, "printer", r.RequestID)
		if len(lines) != 5 || lines[0] != "START RequestId: "+r.RequestID+" Version: $LATEST" ||
			!strings.HasSuffix(lines[1], "\tone") || !strings.HasSuffix(lines[2], "\ttwo") || lines[3] != "END RequestId: "+r.RequestID {
			t.Errorf("the log of the call is %q", lines)
		}
		if tail := strings.Join(lines, "\n") + "\n"; string(r.LogTail) != tail {
			t.Errorf("the tail is %q, want %q", r.LogTail, tail)
		}
		f := figuresOf(t, lines[len(lines)-1])
		if f.billed < f.duration+f.init || f.billed > f.duration+f.init+2 || f.memory != 128 || cold != (f.init > 0) || cold != r.ColdStart {
			t.Errorf("cold %v: %+v", cold, f)
		}
	}
	r := n.Call(t, "printer", `{"do":"sleep","ms":300}`)
	lines := n.logOf(t, "printer", r.RequestID)
	if f := figuresOf(t, lines[len(lines)-1]); f.duration < 300 {
		t.Errorf("a call of 300 ms was measured as %v ms", f.duration)
	}
	wantRecord(t, n, r)
}

// wantRecord compares what is recorded of a call with what its caller was told.
func wantRecord(t *testing.T, n *node, r *client.Result) {
	t.Helper()
	var record wire.Record
	nodetest.Eventually(t, "the call is recorded", func() (ok bool) {
		var err error
		record, err = n.Invocation(t.Context(), r.RequestID)
		return err == nil
	})
	told := float64(r.Duration) / float64(time.Millisecond)
	if record.Outcome != "ok" || record.ColdStart != r.ColdStart || record.DurationMs < told-1 || record.DurationMs > told+1 || record.BilledMs < record.DurationMs {
		t.Errorf("recorded as %+v, the caller was told %s", record, r.Duration)
	}
}

func (n *node) testMemoryUsed(t *testing.T) {
	t.Parallel()
	n.deploy(t, "user", "python", wire.Settings{MemoryMB: 256})
	used := func(payload string) float64 {
		r := n.Call(t, "user", payload)
		lines := n.logOf(t, "user", r.RequestID)
		return figuresOf(t, lines[len(lines)-1]).used
	}
	idle := used("1")
	busy := used(`{"do":"use","mb":100}`)
	if idle < 4 || idle > 60 || busy < idle+90 || busy > idle+120 {
		t.Errorf("used %v MB, and %v MB with 100 MB more", idle, busy)
	}
}

func (n *node) testWarmReuse(t *testing.T) {
	t.Parallel()
	n.deploy(t, "warm", "node", wire.Settings{})
	first := n.Call(t, "warm", `{"do":"where"}`)
	if !first.ColdStart || len(first.Payload) == 0 {
		t.Errorf("the first call: %+v", first)
	}
	for range 20 {
		if r := n.Want(t, "warm", `{"do":"where"}`, string(first.Payload)); r.ColdStart || r.Init != 0 {
			t.Errorf("a call after the first waited for an init phase of %s", r.Init)
		}
	}
}

func (n *node) testIdleTimeout(t *testing.T) {
	t.Parallel()
	n.deploy(t, "brief", "python", wire.Settings{IdleTimeoutSeconds: 1})
	n.Want(t, "brief", "1", "1")
	nodetest.Eventually(t, "the idle environment has ended", func() bool {
		list, err := n.Environments(t.Context(), "brief")
		if err != nil {
			t.Fatal(err)
		}
		return len(list) == 0
	})
	if r := n.Want(t, "brief", "1", "1"); !r.ColdStart {
		t.Error("the environment that ended took a call")
	}
}

func (n *node) testReservedConcurrency(t *testing.T) {
	t.Parallel()
	n.deploy(t, "reserved", "node", wire.Settings{QueueTimeoutSeconds: 0.1, TimeoutSeconds: 10})
	if err := n.PutConcurrency(t.Context(), "reserved", 1); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { n.Call(t, "reserved", `{"do":"sleep","ms":2500}`) })
	nodetest.Eventually(t, "the one call runs", func() bool { return n.Busy(t, "reserved") == 1 })
	n.wantThrottled(t, "reserved", "ReservedConcurrency")
	wg.Wait()
	n.Want(t, "reserved", "1", "1")
	if err := n.PutConcurrency(t.Context(), "reserved", 0); err != nil {
		t.Fatal(err)
	}
	n.wantThrottled(t, "reserved", "ReservedConcurrency")
	if err := n.DeleteConcurrency(t.Context(), "reserved"); err != nil {
		t.Fatal(err)
	}
	n.Want(t, "reserved", "1", "1")
}

// wantThrottled checks a refusal as the wire has it.
func (n *node) wantThrottled(t *testing.T, name, reason string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(n.Request(t.Context(), http.MethodPost, "/v1/namespaces/default/functions/"+name+"/invocations", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	var problem wire.Problem
	if err := errors.Join(json.NewDecoder(resp.Body).Decode(&problem), resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	wait, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	if resp.StatusCode != http.StatusTooManyRequests || problem.Reason != reason || wait < 1 {
		t.Errorf("got %s, Retry-After %q, %+v, want 429 %s and a time to wait", resp.Status, resp.Header.Get("Retry-After"), problem, reason)
	}
}
