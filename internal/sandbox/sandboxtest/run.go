package sandboxtest

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/sandbox"
)

// Spec returns a spec with ordinary limits.
func Spec(id string, mounts ...sandbox.Mount) sandbox.Spec {
	return sandbox.Spec{
		ID: id, MemoryBytes: 256 << 20, MilliCPU: 2000, PIDs: 128, OpenFiles: 1024, TmpBytes: 64 << 20, Mounts: mounts,
	}
}

// binaryTarget is where the test binary is mounted.
const binaryTarget = "/opt/sandboxtest"

// Binary mounts the running test binary, for [Act].
func Binary(t testing.TB) sandbox.Mount {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
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
func Create(t testing.TB, d sandbox.Driver, spec sandbox.Spec) sandbox.Sandbox {
	t.Helper()
	sb, err := d.Create(t.Context(), spec)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	t.Cleanup(func() { Destroy(t, sb) })
	return sb
}

// Destroy destroys a sandbox, which must not take long.
func Destroy(t testing.TB, sb sandbox.Sandbox) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := sb.Destroy(ctx); err != nil {
		t.Errorf("destroy: %v", err)
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
func Start(t testing.TB, sb sandbox.Sandbox, cmd sandbox.Command) *Running {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	defer w.Close()
	cmd.Stdout, cmd.Stderr = w, w
	p, err := sb.Start(t.Context(), cmd)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return &Running{Process: p, Output: r}
}

// Finish waits for the command and returns what it printed and how it ended.
func (r *Running) Finish(t testing.TB) (string, sandbox.Exit) {
	t.Helper()
	if err := r.Output.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r.Output)
	if err != nil {
		t.Fatalf("read output: %v", err)
	}
	<-r.Done()
	return string(bytes.TrimSpace(out)), r.Exit()
}

// Output runs cmd in a sandbox of its own and returns what it printed and how it
// ended.
func Output(t testing.TB, d sandbox.Driver, spec sandbox.Spec, cmd sandbox.Command) (string, sandbox.Exit) {
	t.Helper()
	sb := Create(t, d, spec)
	out, exit := Start(t, sb, cmd).Finish(t)
	Destroy(t, sb)
	return out, exit
}
