package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox"
)

// Unbound returns the spec of a sandbox that is to be bound.
func Unbound(id string, mounts ...sandbox.Mount) sandbox.Spec {
	spec := Spec(id, mounts...)
	spec.Unbound, spec.TmpBytes, spec.Egress = true, 0, function.Egress{}
	return spec
}

// Binding returns a binding that gives what [Spec] has.
func Binding(mounts ...sandbox.Mount) sandbox.Binding {
	spec := Spec("", mounts...)
	return sandbox.Binding{
		MemoryBytes: spec.MemoryBytes, MilliCPU: spec.MilliCPU, TmpBytes: spec.TmpBytes, Mounts: spec.Mounts, Egress: spec.Egress,
	}
}

// Bind binds a sandbox.
func Bind(tb testing.TB, sb sandbox.Sandbox, b sandbox.Binding) {
	tb.Helper()
	if err := tryBind(tb, sb, b); err != nil {
		tb.Fatalf("bind: %v", err)
	}
}

func tryBind(tb testing.TB, sb sandbox.Sandbox, b sandbox.Binding) error {
	tb.Helper()
	if binder, ok := sb.(sandbox.Binder); ok {
		return binder.Bind(tb.Context(), b)
	}
	return errors.New("the sandbox was made unbound and can't be bound")
}

// HostPath returns where a path of a sandbox is for its processes.
func HostPath(sb sandbox.Sandbox, inside string) string {
	if m, ok := sb.(sandbox.PathMapper); ok {
		return m.HostPath(inside)
	}
	return inside
}

// StartWaiting starts a shell script in sb that waits until proceed is called
// with its arguments, and then runs.
func StartWaiting(tb testing.TB, sb sandbox.Sandbox, script string) (r *Running, proceed func(args ...string)) {
	tb.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = out.Close() })
	cmd := Shell("read -r line <&3; exec 3<&-; set -- $line; " + script)
	cmd.Files = []*os.File{in}
	r = Start(tb, sb, cmd)
	_ = in.Close()
	return r, func(args ...string) {
		fmt.Fprintln(out, strings.Join(args, " "))
		_ = out.Close()
	}
}

// binder checks the contract of [sandbox.Binder], if the driver has sandboxes
// that can be bound, and else how it refuses.
func binder(t *testing.T, newDriver func(t *testing.T) sandbox.Driver) {
	t.Helper()
	can := false
	t.Run("Unbound", func(t *testing.T) {
		sb, err := newDriver(t).Create(t.Context(), Unbound("probe"))
		if fault.Is(err, fault.Unsupported, "Unbound") {
			return
		}
		if err != nil {
			t.Fatalf("create: %v", err)
		}
		Destroy(t, sb)
		can = true
	})
	if !can {
		return
	}
	for name, test := range map[string]func(*testing.T, sandbox.Driver){
		"BoundWhileRunning":  boundWhileRunning,
		"BoundOnce":          boundOnce,
		"BoundTooEarly":      boundTooEarly,
		"BoundTooLate":       boundTooLate,
		"WholeIsBound":       wholeIsBound,
		"MissingSource":      missingSource,
		"DestroyedMeanwhile": destroyedMeanwhile,
		"StartAgainUnbound":  startAgainUnbound,
	} {
		t.Run(name, func(t *testing.T) { test(t, newDriver(t)) })
	}
}

// code returns a directory with a file that says word, as a mount.
func code(t *testing.T, word string) sandbox.Mount {
	t.Helper()
	dir := t.TempDir()
	// A sandbox's user is not the node's.
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/word", []byte(word+"\n"), 0o644); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	return sandbox.Mount{Source: dir, Target: "/var/task"}
}

func boundWhileRunning(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Unbound("stem", sandbox.Mount{Source: code(t, "platform").Source, Target: "/opt/platform"}))
	r, proceed := StartWaiting(t, sb, `cat $1/word $2/word; tmp="${TMPDIR:-/tmp}"; ls -A $tmp; echo x > $tmp/x && cat $tmp/x`)
	Bind(t, sb, Binding(code(t, "mine")))
	proceed(HostPath(sb, "/opt/platform"), HostPath(sb, "/var/task"))
	if out, exit := r.Finish(t); out != "platform\nmine\nx" || exit.Code != 0 {
		t.Errorf("got %q, %v", out, exit)
	}
}

func boundOnce(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Unbound("twice"))
	r, proceed := StartWaiting(t, sb, "cat $1/word")
	Bind(t, sb, Binding(code(t, "first")))
	if err := tryBind(t, sb, Binding(code(t, "second"))); !fault.Is(err, fault.Conflict, "SandboxBound") {
		t.Errorf("second: %v", err)
	}
	proceed(HostPath(sb, "/var/task"))
	if out, _ := r.Finish(t); out != "first" {
		t.Errorf("got %q, want what was bound first", out)
	}
}

func boundTooEarly(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Unbound("early"))
	if err := tryBind(t, sb, Binding()); !fault.Is(err, fault.Conflict, "SandboxNotStarted") {
		t.Errorf("before start: %v", err)
	}
	// Nothing has come of it.
	r, proceed := StartWaiting(t, sb, "cat $1/word")
	Bind(t, sb, Binding(code(t, "here")))
	proceed(HostPath(sb, "/var/task"))
	if out, _ := r.Finish(t); out != "here" {
		t.Errorf("got %q", out)
	}
}

func boundTooLate(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Unbound("late"))
	Start(t, sb, Shell("exit 0")).Finish(t)
	if err := tryBind(t, sb, Binding()); !fault.Is(err, fault.Conflict, "SandboxEnded") {
		t.Errorf("after the end: %v", err)
	}
	Destroy(t, sb)
	if err := tryBind(t, sb, Binding()); !fault.Is(err, fault.Conflict, "SandboxDestroyed") {
		t.Errorf("after destroy: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("changed my mind")
	cancel(cause)
	b, ok := sb.(sandbox.Binder)
	if !ok {
		t.Fatal("the sandbox can't be bound")
	}
	if err := b.Bind(ctx, Binding()); !errors.Is(err, cause) {
		t.Errorf("with an ended context: %v, want its cause", err)
	}
}

func wholeIsBound(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Spec("whole"))
	Start(t, sb, Shell("sleep 1000"))
	if b, ok := sb.(sandbox.Binder); ok {
		if err := b.Bind(t.Context(), Binding()); !fault.Is(err, fault.Conflict, "SandboxBound") {
			t.Errorf("bind: %v", err)
		}
	}
}

func missingSource(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Unbound("missing"))
	Start(t, sb, Shell("sleep 1000"))
	missing := sandbox.Mount{Source: "/no/such/directory", Target: "/var/task"}
	if err := tryBind(t, sb, Binding(missing)); err == nil {
		t.Error("bound to a directory that is not there")
	}
}

// destroyedMeanwhile destroys sandboxes while they are bound: whichever is first,
// both end, and nothing runs any more.
func destroyedMeanwhile(t *testing.T, d sandbox.Driver) {
	t.Helper()
	mount := code(t, "gone")
	for i := range 8 {
		sb := Create(t, d, Unbound(fmt.Sprintf("meanwhile-%d", i)))
		r := Start(t, sb, Shell("sleep 1000"))
		bound := make(chan error, 1)
		go func() { bound <- tryBind(t, sb, Binding(mount)) }()
		Destroy(t, sb)
		if err := <-bound; err != nil && !fault.Is(err, fault.Conflict, "SandboxDestroyed") {
			t.Errorf("bind: %v", err)
		}
		<-r.Done()
	}
}

func startAgainUnbound(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Unbound("again"))
	for range 3 {
		if _, err := sb.Start(t.Context(), sandbox.Command{Path: "/no/such/program", Args: []string{"x"}}); !fault.Is(err, fault.Invalid, "ProgramNotFound") {
			t.Fatalf("start: %v, want ProgramNotFound", err)
		}
	}
	r, proceed := StartWaiting(t, sb, "cat $1/word")
	Bind(t, sb, Binding(code(t, "here")))
	proceed(HostPath(sb, "/var/task"))
	if out, _ := r.Finish(t); out != "here" {
		t.Errorf("got %q", out)
	}
}
