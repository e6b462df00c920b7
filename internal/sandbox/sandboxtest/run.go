package sandboxtest

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox"
)

// Spec returns a spec with ordinary limits.
func Spec(id string, mounts ...sandbox.Mount) sandbox.Spec {
	return sandbox.Spec{
		ID: id, MemoryBytes: 256 << 20, MilliCPU: 2000, PIDs: 128, OpenFiles: 1024, TmpBytes: 64 << 20, Mounts: mounts,
		Egress: function.Egress{Mode: function.EgressNone},
	}
}

// binaryTarget is where the test binary is mounted.
const binaryTarget = "/opt/sandboxtest"

// Binary mounts the running test binary, for [Act].
func Binary(tb testing.TB) sandbox.Mount {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	return sandbox.Mount{Source: exe, Target: binaryTarget}
}

// Act is the command that performs an action of [Inside] in a sandbox with
// [Binary].
func Act(action string, args ...string) sandbox.Command {
	return sandbox.Command{
		Path: binaryTarget, Args: append([]string{"sandboxtest"}, args...),
		Env: []string{actionVariable + "=" + action, "PATH=/usr/bin:/bin", "HOME=/tmp"},
	}
}

// Shell is the command that runs a shell script.
func Shell(script string) sandbox.Command {
	return sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}
}

// Create makes a sandbox that ends with the test.
func Create(tb testing.TB, d sandbox.Driver, spec sandbox.Spec) sandbox.Sandbox {
	tb.Helper()
	sb, err := d.Create(tb.Context(), spec)
	if err != nil {
		tb.Fatalf("create: %v", err)
	}
	tb.Cleanup(func() { Destroy(tb, sb) })
	return sb
}

// Destroy destroys a sandbox, which must not take long.
func Destroy(tb testing.TB, sb sandbox.Sandbox) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
	defer cancel()
	if err := sb.Destroy(ctx); err != nil {
		tb.Errorf("destroy: %v", err)
	}
}

// Running is a started command and what it prints.
type Running struct {
	sandbox.Process
	// Output yields what it writes on both streams; it ends when nothing in the
	// sandbox holds them any more.
	Output *os.File
}

// Start runs cmd in sb.
func Start(tb testing.TB, sb sandbox.Sandbox, cmd sandbox.Command) *Running {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	defer func() { _ = w.Close() }()
	cmd.Stdout, cmd.Stderr = w, w
	p, err := sb.Start(tb.Context(), cmd)
	if err != nil {
		tb.Fatalf("start: %v", err)
	}
	return &Running{Process: p, Output: r}
}

// Finish waits for the command and returns what it printed and how it ended.
func (r *Running) Finish(tb testing.TB) (string, sandbox.Exit) {
	tb.Helper()
	if err := r.Output.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		tb.Fatal(err)
	}
	out, err := io.ReadAll(r.Output)
	if err != nil {
		tb.Fatalf("read output: %v", err)
	}
	<-r.Done()
	return string(bytes.TrimSpace(out)), r.Exit()
}

// Output runs cmd in a sandbox of its own and returns what it printed and how it
// ended.
func Output(tb testing.TB, d sandbox.Driver, spec sandbox.Spec, cmd sandbox.Command) (string, sandbox.Exit) {
	tb.Helper()
	sb := Create(tb, d, spec)
	out, exit := Start(tb, sb, cmd).Finish(tb)
	Destroy(tb, sb)
	return out, exit
}
