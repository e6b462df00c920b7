package sandboxtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
)

// Run checks that drivers keep the contract of [sandbox.Driver]. newDriver
// returns a driver that lives as long as the test.
func Run(t *testing.T, newDriver func(t *testing.T) sandbox.Driver) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, sandbox.Driver){
		"OutputAndExit":            outputAndExit,
		"EnvironmentAndFiles":      environmentAndFiles,
		"MountsAndDirectory":       mountsAndDirectory,
		"Signal":                   signal,
		"Listen":                   listen,
		"DestroyTwice":             destroyTwice,
		"DestroyKillsGrandchild":   destroyKillsGrandchild,
		"EndOfFirstProcessEndsAll": endOfFirstProcessEndsAll,
		"StartOnce":                startOnce,
		"MissingProgram":           missingProgram,
		"StartAgainAfterFailure":   startAgainAfterFailure,
		"CancelledContext":         cancelledContext,
		"BadSpec":                  badSpec,
		"IDsAreUnique":             idsAreUnique,
		"NoLeftovers":              noLeftovers,
		"Concurrent":               concurrent,
	} {
		t.Run(name, func(t *testing.T) { test(t, newDriver(t)) })
	}
	t.Run("Binder", func(t *testing.T) { binder(t, newDriver) })
	t.Run("Freezer", func(t *testing.T) { freezer(t, newDriver) })
}

func outputAndExit(t *testing.T, d sandbox.Driver) {
	t.Helper()
	for script, want := range map[string]struct {
		out  string
		exit sandbox.Exit
	}{
		"echo out; echo err >&2":   {"out\nerr", sandbox.Exit{}},
		"exit 7":                   {"", sandbox.Exit{Code: 7}},
		"cat":                      {"", sandbox.Exit{}}, // stdin is empty
		"sh -c 'kill -9 $$'; echo": {"Killed", sandbox.Exit{}},
	} {
		out, exit := Output(t, d, Spec("output"), Shell(script))
		if !strings.Contains(out, want.out) || exit != want.exit {
			t.Errorf("%s: got %q and %v, want %q and %v", script, out, exit, want.out, want.exit)
		}
	}
}

func environmentAndFiles(t *testing.T, d sandbox.Driver) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := Act("env")
	cmd.Env = append(cmd.Env, "OWN=1")
	cmd.Files = []*os.File{r}
	t.Setenv("HOST_SECRET", "1")
	running := Start(t, Create(t, d, Spec("env", Binary(t))), cmd)
	_ = r.Close()
	fmt.Fprint(w, "through descriptor 3")
	_ = w.Close()
	out, exit := running.Finish(t)
	if exit.Code != 0 || !strings.Contains(out, "OWN=1") || strings.Contains(out, "HOST_SECRET") || !strings.HasSuffix(out, "through descriptor 3") {
		t.Errorf("got %v and %q, want OWN=1, nothing of the host's and the content of descriptor 3", exit, out)
	}
}

func mountsAndDirectory(t *testing.T, d sandbox.Driver) {
	t.Helper()
	dir := t.TempDir()
	// A sandbox's user is not the node's.
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/hello.txt", []byte("hello"), 0o644); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	cmd := Shell("cat hello.txt; touch \"${TMPDIR:-/tmp}/file\" && echo ', writable'")
	cmd.Dir = "/var/task"
	out, _ := Output(t, d, Spec("mounts", sandbox.Mount{Source: dir, Target: "/var/task"}), cmd)
	if want := "hello, writable"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func signal(t *testing.T, d sandbox.Driver) {
	t.Helper()
	r := Start(t, Create(t, d, Spec("signal")), Shell("trap 'exit 9' TERM; echo ready; while :; do sleep 1; done"))
	if line, err := bufio.NewReader(r.Output).ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := r.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-r.Done()
	if got := r.Exit().Code; got != 9 {
		t.Errorf("exit status %d, want the handler's 9", got)
	}
	if err := r.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("signal after the end: %v, want nothing done", err)
	}
	killed := Start(t, Create(t, d, Spec("killed")), Shell("sleep 1000"))
	if err := killed.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-killed.Done()
	if got, want := killed.Exit(), (sandbox.Exit{Code: -1, Signal: "killed"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func listen(t *testing.T, d sandbox.Driver) {
	t.Helper()
	// Two sandboxes listen at the same address, each for itself.
	for _, word := range []string{"one", "two"} {
		sb := Create(t, d, Spec("listen-"+word, Binary(t)))
		l, err := sb.Listen(t.Context(), "127.0.0.1:9001")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- serveOnce(l, word) }()
		out, exit := Start(t, sb, Act("dial", l.Addr().String())).Finish(t)
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if out != word {
			t.Errorf("dial inside: %q, %v; want %q", out, exit, word)
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			waiting <- err
		}()
		Destroy(t, sb)
		if err := <-waiting; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after destroy: %v, want closed", err)
		}
	}
	sb := Create(t, d, Spec("listen-bad"))
	if _, err := sb.Listen(t.Context(), "nonsense"); err == nil {
		t.Error("listened at nonsense")
	}
}

func serveOnce(l net.Listener, word string) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, word)
	return err
}

func destroyTwice(t *testing.T, d sandbox.Driver) {
	t.Helper()
	fresh := Create(t, d, Spec("fresh"))
	Destroy(t, fresh)
	Destroy(t, fresh)
	ended := Create(t, d, Spec("ended"))
	Start(t, ended, Shell("exit 0")).Finish(t)
	Destroy(t, ended)
	Destroy(t, ended)
	if _, err := ended.Start(t.Context(), Shell("exit 0")); !fault.Is(err, fault.Conflict, "SandboxDestroyed") {
		t.Errorf("start after destroy: %v", err)
	}
	if _, err := ended.Listen(t.Context(), "127.0.0.1:9001"); !fault.Is(err, fault.Conflict, "SandboxDestroyed") {
		t.Errorf("listen after destroy: %v", err)
	}
}

func destroyKillsGrandchild(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Spec("grandchild"))
	r := Start(t, sb, Shell("(trap '' TERM HUP INT; sleep 1000) & echo ready; wait"))
	if line, err := bufio.NewReader(r.Output).ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	Destroy(t, sb)
	// The output ends only when the grandchild is gone as well.
	if _, exit := r.Finish(t); exit.Signal != "killed" {
		t.Errorf("the first process ended with %v", exit)
	}
}

func endOfFirstProcessEndsAll(t *testing.T, d sandbox.Driver) {
	t.Helper()
	r := Start(t, Create(t, d, Spec("orphan")), Shell("sleep 1000 & echo started"))
	if out, _ := r.Finish(t); out != "started" {
		t.Errorf("got %q", out)
	}
}

func startOnce(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Spec("once"))
	Start(t, sb, Shell("exit 0")).Finish(t)
	if _, err := sb.Start(t.Context(), Shell("exit 0")); !fault.Is(err, fault.Conflict, "SandboxStarted") {
		t.Errorf("second start: %v", err)
	}
}

func missingProgram(t *testing.T, d sandbox.Driver) {
	t.Helper()
	plain := t.TempDir() + "/plain"
	if err := os.WriteFile(plain, []byte("text"), 0o644); err != nil { //nolint:gosec // a sandbox's user is not the node's
		t.Fatal(err)
	}
	mount := sandbox.Mount{Source: plain, Target: "/opt/plain"}
	for program, reason := range map[string]string{"/no/such/program": "ProgramNotFound", "/opt/plain": "ProgramNotExecutable"} {
		sb := Create(t, d, Spec("missing", mount))
		if _, err := sb.Start(t.Context(), sandbox.Command{Path: program, Args: []string{"x"}}); !fault.Is(err, fault.Invalid, reason) {
			t.Errorf("start %s: %v, want %s", program, err, reason)
		}
		Destroy(t, sb)
	}
}

// startAgainAfterFailure starts another program in a sandbox whose files,
// listener and limits are as if nothing had been tried.
func startAgainAfterFailure(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Spec("again", Binary(t)))
	l, err := sb.Listen(t.Context(), "127.0.0.1:9001")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := sb.Start(t.Context(), sandbox.Command{Path: "/no/such/program", Args: []string{"x"}}); !fault.Is(err, fault.Invalid, "ProgramNotFound") {
			t.Fatalf("start: %v, want ProgramNotFound", err)
		}
	}
	served := make(chan error, 1)
	go func() { served <- serveOnce(l, "here") }()
	out, exit := Start(t, sb, Act("dial", l.Addr().String())).Finish(t)
	if out != "here" || exit != (sandbox.Exit{}) {
		t.Errorf("got %q and %v, want what the listener says", out, exit)
		_ = l.Close()
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := sb.Start(t.Context(), Shell("exit 0")); !fault.Is(err, fault.Conflict, "SandboxStarted") {
		t.Errorf("start after a start: %v", err)
	}
}

func cancelledContext(t *testing.T, d sandbox.Driver) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	sb := Create(t, d, Spec("cancelled"))
	cause := errors.New("changed my mind")
	cancel(cause)
	if _, err := d.Create(ctx, Spec("never")); !errors.Is(err, cause) {
		t.Errorf("create: %v, want the cause", err)
	}
	if _, err := sb.Start(ctx, Shell("exit 0")); !errors.Is(err, cause) {
		t.Errorf("start: %v, want the cause", err)
	}
	if out, exit := Start(t, sb, Shell("echo later")).Finish(t); out != "later" {
		t.Errorf("start after a cancelled one: %q, %v", out, exit)
	}
}

func badSpec(t *testing.T, d sandbox.Driver) {
	t.Helper()
	for name, spec := range map[string]sandbox.Spec{
		"id":             Spec("../up"),
		"missing source": Spec("source", sandbox.Mount{Source: "/no/such/directory", Target: "/var/task"}),
	} {
		sb, err := d.Create(t.Context(), spec)
		if err == nil {
			Destroy(t, sb)
			t.Errorf("%s: a sandbox was made", name)
		}
	}
}

func idsAreUnique(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Spec("twin"))
	if _, err := d.Create(t.Context(), Spec("twin")); !fault.Is(err, fault.AlreadyExists, "SandboxExists") {
		t.Errorf("second: %v", err)
	}
	Destroy(t, sb)
	Destroy(t, Create(t, d, Spec("twin")))
}

func noLeftovers(t *testing.T, d sandbox.Driver) {
	t.Helper()
	script := "cd \"${TMPDIR:-/tmp}\"; ls; echo secret > left; ls"
	for range 2 {
		if out, _ := Output(t, d, Spec("again"), Shell(script)); out != "left" {
			t.Errorf("got %q, want an empty /tmp at first", out)
		}
	}
}

func concurrent(t *testing.T, d sandbox.Driver) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			word := fmt.Sprintf("c%d", i)
			sb, err := d.Create(t.Context(), Spec(word))
			if err != nil {
				t.Errorf("create: %v", err)
				return
			}
			defer Destroy(t, sb)
			r, w, err := os.Pipe()
			if err != nil {
				t.Errorf("pipe: %v", err)
				return
			}
			defer func() { _ = r.Close() }()
			cmd := Shell("echo " + word)
			cmd.Stdout = w
			_, err = sb.Start(t.Context(), cmd)
			_ = w.Close()
			if err != nil {
				t.Errorf("start: %v", err)
				return
			}
			if out, err := io.ReadAll(r); string(out) != word+"\n" {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
	wg.Wait()
}
