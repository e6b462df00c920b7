package sandboxtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
)

// errNoFreezer is for drivers whose sandboxes can't be frozen.
var errNoFreezer = fault.New(fault.Unsupported, "Freezer", "the driver has no sandboxes that can be frozen")

// Freeze freezes a sandbox.
func Freeze(tb testing.TB, sb sandbox.Sandbox) error {
	tb.Helper()
	if f, ok := sb.(sandbox.Freezer); ok {
		return f.Freeze(tb.Context())
	}
	return errNoFreezer
}

// Thaw wakes a sandbox.
func Thaw(tb testing.TB, sb sandbox.Sandbox) error {
	tb.Helper()
	if f, ok := sb.(sandbox.Freezer); ok {
		return f.Thaw()
	}
	return errNoFreezer
}

// freezer checks the contract of [sandbox.Freezer], if the driver has sandboxes
// that can be frozen.
func freezer(t *testing.T, newDriver func(t *testing.T) sandbox.Driver) {
	t.Helper()
	can := false
	t.Run("Can", func(t *testing.T) {
		err := Freeze(t, Create(t, newDriver(t), Spec("probe")))
		can = err == nil
		if err != nil && !fault.Is(err, fault.Unsupported, "Freezer") {
			t.Errorf("freeze: %v", err)
		}
	})
	if !can {
		return
	}
	for name, test := range map[string]func(*testing.T, sandbox.Driver){
		"FrozenStandsStill":  frozenStandsStill,
		"FrozenInEveryState": frozenInEveryState,
		"DestroyedFrozen":    destroyedFrozen,
		"DestroyedFreezing":  destroyedFreezing,
		"Reclaimed":          reclaimed,
		"BoundFrozen":        boundFrozen,
	} {
		t.Run(name, func(t *testing.T) { test(t, newDriver(t)) })
	}
}

// frozenStandsStill freezes processes that write all the time.
func frozenStandsStill(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Spec("still"))
	r := Start(t, sb, Shell("while :; do echo child; done & while :; do echo first; done"))
	buf := make([]byte, 1<<16)
	read := func(patience time.Duration) error {
		if err := r.Output.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, err := r.Output.Read(buf)
		return err
	}
	for range 3 {
		if err := read(time.Minute); err != nil {
			t.Fatalf("before: %v", err)
		}
		if err := Freeze(t, sb); err != nil {
			t.Fatalf("freeze: %v", err)
		}
		var err error
		for n := 0; err == nil; n++ { // what is in the pipe
			if n > 100 {
				t.Fatal("it still writes")
			}
			err = read(20 * time.Millisecond)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("frozen: %v", err)
		}
		if err := Thaw(t, sb); err != nil {
			t.Fatalf("thaw: %v", err)
		}
	}
	if err := read(time.Minute); err != nil {
		t.Errorf("thawed: %v", err)
	}
}

func frozenInEveryState(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Spec("states"))
	check := func(when string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	check("thaw a new one", Thaw(t, sb))
	check("freeze a new one", Freeze(t, sb))
	r, proceed := StartWaiting(t, sb, "echo done")
	check("freeze", Freeze(t, sb))
	check("freeze again", Freeze(t, sb))
	if _, err := sb.Usage(); err != nil {
		t.Errorf("usage: %v", err)
	}
	check("thaw", Thaw(t, sb))
	check("thaw again", Thaw(t, sb))
	proceed()
	if out, _ := r.Finish(t); out != "done" {
		t.Errorf("got %q", out)
	}
	check("freeze when it has ended", Freeze(t, sb))
	Destroy(t, sb)
	if err := Freeze(t, sb); !fault.Is(err, fault.Conflict, "SandboxDestroyed") {
		t.Errorf("freeze after destroy: %v", err)
	}
}

func destroyedFrozen(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Spec("frozen"))
	r := Start(t, sb, Shell("(trap '' TERM HUP INT; sleep 1000) & echo ready; wait"))
	if line, err := bufio.NewReader(r.Output).ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := Freeze(t, sb); err != nil {
		t.Fatal(err)
	}
	Destroy(t, sb)
	Destroy(t, sb)
	// The output ends only when the grandchild is gone as well.
	if _, exit := r.Finish(t); exit.Signal != "killed" {
		t.Errorf("ended with %v", exit)
	}
}

// destroyedFreezing freezes, wakes, reclaims and destroys at the same time.
func destroyedFreezing(t *testing.T, d sandbox.Driver) {
	t.Helper()
	for i := range 8 {
		sb := Create(t, d, Spec(fmt.Sprintf("freezing-%d", i)))
		r := Start(t, sb, Shell("sleep 1000 & while :; do :; done"))
		f, ok := sb.(sandbox.Freezer)
		if !ok {
			t.Fatal("the sandbox can't be frozen")
		}
		var wg sync.WaitGroup
		for _, do := range []func() error{
			func() error { return f.Freeze(t.Context()) },
			func() error { return f.Reclaim(t.Context()) },
			f.Thaw,
		} {
			wg.Go(func() {
				for range 20 {
					if err := do(); err != nil && !fault.Is(err, fault.Conflict, "SandboxDestroyed") {
						t.Error(err)
					}
				}
			})
		}
		Destroy(t, sb)
		wg.Wait()
		if _, err := io.Copy(io.Discard, r.Output); err != nil {
			t.Error(err)
		}
	}
}

// reclaimed gives back the memory of a sandbox, which has it again afterwards.
func reclaimed(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb := Create(t, d, Spec("reclaimed"))
	f, ok := sb.(sandbox.Freezer)
	if !ok {
		t.Fatal("the sandbox can't be frozen")
	}
	if err := f.Reclaim(t.Context()); err != nil {
		t.Errorf("of one that isn't frozen: %v", err)
	}
	r, proceed := StartWaiting(t, sb, "echo $1; cat /etc/hosts >/dev/null && /bin/echo again")
	if err := Freeze(t, sb); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Reclaim(t.Context()); err != nil {
			t.Errorf("reclaim: %v", err)
		}
	}
	if err := f.Thaw(); err != nil {
		t.Fatal(err)
	}
	proceed("kept")
	if out, exit := r.Finish(t); !strings.HasSuffix(out, "kept\nagain") || exit.Code != 0 {
		t.Errorf("got %q, %v", out, exit)
	}
}

// boundFrozen binds a sandbox that is frozen, if it can be bound.
func boundFrozen(t *testing.T, d sandbox.Driver) {
	t.Helper()
	sb, err := d.Create(t.Context(), Unbound("bound"))
	if fault.Is(err, fault.Unsupported, "Unbound") {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer Destroy(t, sb)
	r, proceed := StartWaiting(t, sb, "cat $1/word")
	if err := Freeze(t, sb); err != nil {
		t.Fatal(err)
	}
	Bind(t, sb, Binding(code(t, "mine")))
	proceed(HostPath(sb, "/var/task"))
	if err := Thaw(t, sb); err != nil {
		t.Fatal(err)
	}
	if out, exit := r.Finish(t); out != "mine" || exit.Code != 0 {
		t.Errorf("got %q, %v", out, exit)
	}
}
