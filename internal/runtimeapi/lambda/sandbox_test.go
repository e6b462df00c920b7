package lambda_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/lambda"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/none"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a sandbox whose function and layer lie in directories of the test.
type host struct {
	sandbox.Sandbox
	task, opt string
}

// newHost makes a sandbox that does not isolate.
func newHost(tb testing.TB) *host {
	tb.Helper()
	d, err := none.New(none.Config{StateDir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	return in(tb, d)
}

// in makes a sandbox of driver d, which ends with the test.
func in(tb testing.TB, d sandbox.Driver) *host {
	tb.Helper()
	h := &host{task: tb.TempDir(), opt: tb.TempDir()}
	spec := sandbox.Spec{
		ID: "e1", MemoryBytes: 512 << 20, MilliCPU: 1000, PIDs: 256, OpenFiles: 1024, TmpBytes: 64 << 20,
		Mounts: []sandbox.Mount{{Source: h.task, Target: "/var/task"}, {Source: h.opt, Target: "/opt"}},
		Egress: function.Egress{Mode: function.EgressNone},
	}
	var err error
	if h.Sandbox, err = d.Create(tb.Context(), spec); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(h.Destroy(context.Background()), d.Close()); err != nil {
			tb.Errorf("destroy: %v", err)
		}
	})
	return h
}

// pretend is a sandbox in which the test itself plays the runtime.
type pretend struct {
	started []string // paths
	absent  string   // the path that is not there

	cmd  sandbox.Command
	out  *os.File
	done chan struct{}
	exit sandbox.Exit
}

func (p *pretend) ID() string                    { return "pretend" }
func (p *pretend) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, nil }
func (p *pretend) Destroy(context.Context) error { return nil }
func (p *pretend) Listen(ctx context.Context, _ string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
}

func (p *pretend) Start(_ context.Context, c sandbox.Command) (sandbox.Process, error) {
	p.started = append(p.started, c.Path)
	if c.Path == p.absent {
		return nil, fault.New(fault.Invalid, "ProgramNotFound", "not there")
	}
	fd, err := syscall.Dup(int(c.Stdout.Fd()))
	if err != nil {
		return nil, err
	}
	p.cmd, p.out = c, os.NewFile(uintptr(fd), "stdout")
	return p, nil
}
func (p *pretend) PID() int                 { return 0 }
func (p *pretend) Done() <-chan struct{}    { return p.done }
func (p *pretend) Exit() sandbox.Exit       { return p.exit }
func (p *pretend) Signal(_ os.Signal) error { return nil }
func (p *pretend) die(e sandbox.Exit)       { p.exit = e; close(p.done) }

// api is the address that the runtime was told.
func (p *pretend) api() string {
	for _, kv := range p.cmd.Env {
		if addr, ok := strings.CutPrefix(kv, "AWS_LAMBDA_RUNTIME_API="); ok {
			return addr
		}
	}
	return ""
}

// lines gathers output.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line runtimeapi.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line.Stream+": "+string(line.Text))
}

func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.all
	l.all = nil
	return taken
}

// launch starts what is in sb and ends it with the test.
func launch(tb testing.TB, sb sandbox.Sandbox) (runtimeapi.Session, *lines) {
	tb.Helper()
	return launchVersion(tb, sb, nil)
}

func launchVersion(tb testing.TB, sb sandbox.Sandbox, v *function.Version) (runtimeapi.Session, *lines) {
	tb.Helper()
	out := new(lines)
	vars := map[string]string{"LAMBDA_TASK_ROOT": "/var/task", "PATH": os.Getenv("PATH")}
	s, err := lambda.New(lambda.Config{}).Launch(tb.Context(), sb, runtimeapi.Launch{Environment: "e1", Version: v, Env: vars, Output: out.add})
	if err != nil {
		tb.Fatalf("launch: %v", err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(sb.Destroy(context.Background()), s.Close(), s.Close()); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s, out
}

// play launches a session whose runtime is the test.
func play(tb testing.TB) (runtimeapi.Session, *pretend, *lines) {
	tb.Helper()
	p := &pretend{done: make(chan struct{})}
	s, out := launch(tb, p)
	tb.Cleanup(func() { p.out.Close() })
	return s, p, out
}

// bootstrap writes the program of a custom runtime.
func bootstrap(tb testing.TB, h *host, content []byte) {
	tb.Helper()
	program(tb, h.task, content)
}

func program(tb testing.TB, dir string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), content, 0o755); err != nil {
		tb.Fatal(err)
	}
}

func invoke(tb testing.TB, s runtimeapi.Session, id, payload string) *invocation.Result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	res, err := s.Invoke(ctx, call(id, payload))
	if err != nil {
		tb.Fatalf("invoke %s: %v", id, err)
	}
	return res
}

func call(id, payload string) *invocation.Invocation {
	return &invocation.Invocation{
		ID: id, ARN: "arn:aws:lambda:us-east-1:000000000000:function:f", Payload: []byte(payload),
		TraceID: "Root=1-2-3;Sampled=0", Deadline: time.UnixMilli(4102444800123),
	}
}

func ready(tb testing.TB, s runtimeapi.Session) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		tb.Fatalf("ready: %v", err)
	}
}

// wantResult compares what matters of a result.
func wantResult(tb testing.TB, got *invocation.Result, payload, errorType string) {
	tb.Helper()
	if payload != "" && !bytes.Equal(got.Payload, []byte(payload)) {
		tb.Errorf("payload = %.200q, want %.200q", got.Payload, payload)
	}
	if got.ErrorType != errorType {
		tb.Errorf("error type = %q, want %q (payload %.200q)", got.ErrorType, errorType, got.Payload)
	}
	if failed := got.FunctionError == invocation.Unhandled; failed != (errorType != "") {
		tb.Errorf("function error = %q with error type %q", got.FunctionError, got.ErrorType)
	}
}

func wantLines(tb testing.TB, out *lines, want ...string) {
	tb.Helper()
	got := out.take()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		tb.Errorf("output = %q, want %q", got, want)
	}
}
