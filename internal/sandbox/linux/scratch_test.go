//go:build linux

package linux_test

import (
	"path/filepath"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/linux/scratch"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

// newStore returns a store that lives as long as the test.
func newStore(tb testing.TB) *scratch.Store {
	tb.Helper()
	store, err := scratch.Open(tb.Context(), scratch.Config{Dir: filepath.Join(tb.TempDir(), "scratch")})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	return store
}

func TestTmpOnDiskIsNotMemory(t *testing.T) {
	d := driverOf(t, linux.Config{NodeID: "scratch", Scratch: newStore(t)})
	for _, g := range d.Gaps() {
		if strings.Contains(g.What, "/tmp") {
			t.Errorf("a gap is reported: %+v", g)
		}
	}
	// Far more than the memory fits, as much as the disk holds and no more.
	spec := sandboxtest.Spec("spill")
	spec.MemoryBytes, spec.TmpBytes = 32<<20, 128<<20
	out, exit := sandboxtest.Output(t, d, spec, sandboxtest.Shell("head -c 1G /dev/zero > /tmp/big; stat -c %s /tmp/big; stat -c %a /tmp; echo x > /tmp/y"))
	if exit.Signal != "" || !strings.Contains(out, "No space left on device") || !strings.Contains(out, "\n1777") {
		t.Errorf("ended with %v: %q, want a full disk of mode 1777", exit, out)
	}
	// The next sandbox gets an empty one, without devices or setuid programs.
	out, exit = sandboxtest.Output(t, d, spec, sandboxtest.Shell("ls -A /tmp; grep ' /tmp ' /proc/mounts"))
	if exit.Code != 0 || !strings.Contains(out, "nosuid,nodev") || strings.Contains(out, "big") {
		t.Errorf("ended with %v: %q, want an empty /tmp, nosuid and nodev", exit, out)
	}
	// A start that failed has taken its disk along.
	spec.ID = "again"
	sb := sandboxtest.Create(t, d, spec)
	for range 2 {
		if _, err := sb.Start(t.Context(), sandbox.Command{Path: "/no/such/program", Args: []string{"x"}}); !fault.Is(err, fault.Invalid, "ProgramNotFound") {
			t.Fatalf("start: %v, want ProgramNotFound", err)
		}
	}
	if out, exit := sandboxtest.Start(t, sb, sandboxtest.Shell("echo kept > /tmp/y; cat /tmp/y")).Finish(t); out != "kept" || exit.Code != 0 {
		t.Errorf("after failed starts: %q, %v", out, exit)
	}
}
