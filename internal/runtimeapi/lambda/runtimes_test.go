package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/aws/aws-lambda-go/lambda" // testdata/golang is built with it: go.mod must keep it

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

func fromTestdata(tb testing.TB, name string) *host {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	h := newHost(tb)
	bootstrap(tb, h, content)
	return h
}

// goBootstrap builds the function of testdata/golang.
func goBootstrap(tb testing.TB) *host {
	tb.Helper()
	h := newHost(tb)
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-tags", "lambda.norpc", "-o", filepath.Join(h.task, "bootstrap"), "./testdata/golang")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return h
}

func TestShellBootstrapWithCurl(t *testing.T) {
	h := fromTestdata(t, "shell.sh")
	s, out := launch(t, h.Sandbox)
	ready(t, s)
	wantLines(t, out, "stdout: init in "+h.task+", root "+h.task)
	for _, id := range []string{"a-1", "a-2"} {
		wantResult(t, invoke(t, s, id, `{"n":1}`), `{"got":{"n":1}}`, "")
		wantLines(t, out, `stdout: event {"n":1} until 4102444800123`, "stderr: to the error stream", "stdout: no line end")
	}
	res := invoke(t, s, "a-3", `"fail"`)
	wantResult(t, res, `{"errorMessage":"refused","errorType":"Refused"}`, "Function.Refused")
	if res.ContentType != "application/json" {
		t.Errorf("content type = %q, want application/json", res.ContentType)
	}
}

func TestRuntimeThatEndsWithoutAnswer(t *testing.T) {
	for _, tt := range []struct{ payload, want string }{
		{`"exit"`, "exit status 3"},
		{`"kill"`, "signal: killed"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			s, out := launch(t, fromTestdata(t, "shell.sh").Sandbox)
			ready(t, s)
			_, err := s.Invoke(t.Context(), call("x-1", tt.payload))
			ee, ok := errors.AsType[*runtimeapi.ExitError](err)
			if !ok || ee.Exit.String() != tt.want {
				t.Errorf("invoke = %v, want an exit with %s", err, tt.want)
			}
			if got := strings.Join(out.take(), "\n"); !strings.Contains(got, "no line end") {
				t.Errorf("output before the end is missing: %q", got)
			}
			<-s.Done()
		})
	}
}

func TestPythonBootstrapThatClosesConnections(t *testing.T) {
	s, out := launch(t, fromTestdata(t, "urllib.py").Sandbox)
	inv := call("p-1", `{"n":1}`)
	inv.ClientContext = []byte("{\r\n  \"custom\": {}\r\n}\r\nX-Extra: smuggled\n")
	for range 3 { // the first one comes before the runtime has asked for it
		res, err := s.Invoke(t.Context(), inv)
		if err != nil {
			t.Fatalf("%v\n%s", err, strings.Join(out.take(), "\n"))
		}
		wantResult(t, res, `{"event": {"n": 1}, "context": "{    \"custom\": {}  }  X-Extra: smuggled", "extra": null}`, "")
	}
}

func TestGoLibrary(t *testing.T) {
	h := goBootstrap(t)
	s, out := launch(t, h.Sandbox)
	ready(t, s)

	t.Run("value", func(t *testing.T) {
		res := invoke(t, s, "g-1", `{"do":"echo"}`)
		wantResult(t, res, "", "")
		var got map[string]any
		if err := json.Unmarshal(res.Payload, &got); err != nil {
			t.Fatal(err)
		}
		if got["id"] != "g-1" || got["deadline"] != 4102444800123.0 || got["arn"] != "arn:aws:lambda:us-east-1:000000000000:function:f" {
			t.Errorf("context = %v", got)
		}
		wantLines(t, out, "stdout: working on g-1")
	})
	t.Run("error", func(t *testing.T) {
		res := invoke(t, s, "g-2", `{"do":"fail"}`)
		wantResult(t, res, `{"errorMessage":"as asked","errorType":"errorString"}`, "Function.Unknown")
	})
	t.Run("largest event", func(t *testing.T) {
		filler := strings.Repeat("y", invocation.MaxRequestBytes-len(`{"do":"large","size":2,"filler":""}`))
		wantResult(t, invoke(t, s, "g-3", `{"do":"large","size":2,"filler":"`+filler+`"}`), `"xx"`, "")
	})
	t.Run("largest response", func(t *testing.T) {
		res := invoke(t, s, "g-4", `{"do":"large","size":6291554}`)
		wantResult(t, res, "", "")
		if len(res.Payload) != invocation.MaxResponseBytes {
			t.Errorf("payload has %d bytes, want %d", len(res.Payload), invocation.MaxResponseBytes)
		}
	})
	t.Run("error in mid-stream", func(t *testing.T) {
		res := invoke(t, s, "g-5", `{"do":"break"}`)
		wantResult(t, res, "", "Function.Unknown")
		if !strings.Contains(string(res.Payload), "broke off broke off") || !json.Valid(res.Payload) {
			t.Errorf("payload = %.200q, want the error's JSON", res.Payload)
		}
	})
	t.Run("response too large", func(t *testing.T) {
		wantResult(t, invoke(t, s, "g-6", `{"do":"large","size":6291555}`),
			`{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`,
			"Function.ResponseSizeTooLarge")
	})
}

// TestGoLibraryRunsSeveralAtOnce holds one invocation until another one has been
// answered by the same process.
func TestGoLibraryRunsSeveralAtOnce(t *testing.T) {
	v := &function.Version{}
	v.Concurrency = 2
	s, _ := launchVersion(t, goBootstrap(t).Sandbox, v)
	ready(t, s)
	held := begin(t, s, call("g-1", `{"do":"wait"}`))
	wantResult(t, invoke(t, s, "g-2", `{"do":"release"}`), `"released"`, "")
	o := <-held
	if o.err != nil {
		t.Fatal(o.err)
	}
	wantResult(t, o.res, `"waited"`, "")
}

func TestGoLibraryPanic(t *testing.T) {
	s, _ := launch(t, goBootstrap(t).Sandbox)
	res := invoke(t, s, "g-1", `{"do":"panic"}`)
	wantResult(t, res, "", "Function.Unknown")
	if !strings.Contains(string(res.Payload), `"errorMessage":"as asked"`) {
		t.Errorf("payload = %.300q, want the panic's message", res.Payload)
	}
	<-s.Done()
	_, err := s.Invoke(t.Context(), call("g-2", `{}`))
	if _, ok := errors.AsType[*runtimeapi.ExitError](err); !ok {
		t.Errorf("invoke after the end = %v, want an exit error", err)
	}
}

func TestBootstrapThatCannotBeStarted(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, h *host)
		want    string
	}{
		{"missing", func(*testing.T, *host) {}, "no bootstrap could be started"},
		{"not executable", func(t *testing.T, h *host) {
			t.Helper()
			bootstrap(t, h, []byte("#!/bin/sh\n"))
			if err := os.Chmod(filepath.Join(h.task, "bootstrap"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "not executable"},
		{"no program", func(t *testing.T, h *host) { t.Helper(); bootstrap(t, h, []byte("nothing")) }, "can't be executed"},
		{"no interpreter", func(t *testing.T, h *host) { t.Helper(); bootstrap(t, h, []byte("#!/nowhere/sh\n")) }, "interpreter"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			tt.prepare(t, h)
			s, _ := launch(t, h.Sandbox)
			err := s.Ready(t.Context())
			ie, ok := errors.AsType[*runtimeapi.InitError](err)
			if !ok || ie.Type != "Runtime.InvalidEntrypoint" || !strings.Contains(string(ie.Payload), tt.want) {
				t.Errorf("ready = %v, want Runtime.InvalidEntrypoint with %q", err, tt.want)
			}
			<-s.Done()
			if _, err := s.Invoke(t.Context(), call("b-1", "{}")); err == nil {
				t.Error("invoke succeeded")
			}
		})
	}
}

func TestBootstrapInLayer(t *testing.T) {
	h := newHost(t)
	program(t, h.opt, []byte("#!/bin/sh\necho from the layer\nexit 3\n"))
	s, out := launch(t, h.Sandbox)
	if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("ready = %v, want the exit of the layer's bootstrap", err)
	}
	wantLines(t, out, "stdout: from the layer")
}

func TestBootstrapsAreTriedInOrder(t *testing.T) {
	p := &pretend{absent: "/var/task/bootstrap", done: make(chan struct{})}
	launch(t, p)
	t.Cleanup(func() { p.out.Close() })
	if want := []string{"/var/task/bootstrap", "/opt/bootstrap"}; !slices.Equal(p.started, want) {
		t.Errorf("started %q, want %q", p.started, want)
	}
}

func TestInvokeEndsWithItsContext(t *testing.T) {
	s, _, _ := play(t)
	cause := errors.New("out of time")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, cause)
	defer cancel()
	if _, err := s.Invoke(ctx, call("c-1", "{}")); !errors.Is(err, cause) {
		t.Errorf("invoke = %v, want the context's cause", err)
	}
	if err := s.Ready(ctx); !errors.Is(err, cause) {
		t.Errorf("ready = %v, want the context's cause", err)
	}
}
