//go:build linux

package linux_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

func TestSandboxesDieWithTheNode(t *testing.T) {
	state := t.TempDir()
	node := exec.CommandContext(t.Context(), "/proc/self/exe", state)
	node.Env = append(os.Environ(), "MAYFLY_SANDBOXTEST_ACTION=node")
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	// The node's sandboxes write to its output: it ends when all of them have.
	line := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(out, line); err != nil {
		t.Fatal(err)
	}
	if err := node.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	d, err := linux.New(linux.Config{StateDir: state, NodeID: "crash"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Sweep(t.Context()); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if rest, err := io.ReadAll(out); err != nil || len(rest) != 0 {
		t.Errorf("output %q, %v", rest, err)
	}
	_ = node.Wait()
	if err := d.Close(); err != nil {
		t.Errorf("close, which removes the parent cgroup if it is empty: %v", err)
	}
	if groups, _ := filepath.Glob("/sys/fs/cgroup/*/mayfly-crash"); len(groups) > 0 {
		t.Errorf("left: %v", groups)
	}
}

// node is a node that starts sandboxes, copies one, and waits to be killed. The
// second is frozen and can't end with the node; the process of the third has opted
// out of that.
func node(args []string) error {
	d, err := linux.New(linux.Config{StateDir: args[0], NodeID: "crash"})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := copied(ctx, d); err != nil && !fault.Is(err, fault.Unsupported, "ForkRefused") { // without root
		return err
	}
	for _, s := range []struct{ id, script string }{
		{"plain", "sleep 1000"},
		{"frozen", "sleep 1000 & sleep 1000; :"},
		// The last one to start says so.
		{"stubborn", "exec /usr/bin/python3 -c 'import ctypes, time; ctypes.CDLL(None).prctl(1, 0); print(\"ready\", flush=True); time.sleep(1000)'"},
	} {
		sb, err := d.Create(ctx, sandboxtest.Spec(s.id))
		if err != nil {
			return err
		}
		cmd := sandboxtest.Shell(s.script)
		cmd.Stdout = os.Stdout
		if _, err := sb.Start(ctx, cmd); err != nil {
			return err
		}
		if f, ok := sb.(sandbox.Freezer); ok && s.id == "frozen" {
			if err := f.Freeze(ctx); err != nil && !fault.Is(err, fault.Unsupported, "Freezer") {
				return err
			}
		}
	}
	select {}
}

// copied starts a sandbox and makes a copy of its process.
func copied(ctx context.Context, d sandbox.Driver) error {
	sb, err := d.Create(ctx, sandboxtest.Spec("origin"))
	if err != nil {
		return err
	}
	ours, theirs, err := conversation()
	if err != nil {
		return err
	}
	cmd := originalCommand("import ctypes; ctypes.CDLL(None).prctl(1, 0)", theirs)
	cmd.Stdout = os.Stdout
	if _, err := sb.Start(ctx, cmd); err != nil {
		return err
	}
	if _, err := ours.Read(make([]byte, len("ready"))); err != nil {
		return err
	}
	_, heirs, err := conversation()
	if err != nil {
		return err
	}
	_, _, err = sb.(sandbox.Forker).Fork(ctx, sandboxtest.Spec("copy"), sandbox.Forking{
		Ask: func() error {
			_, _, err := ours.WriteMsgUnix([]byte{'f', 1}, unix.UnixRights(int(heirs.Fd())), nil)
			return err
		},
		Reap: func() {},
	})
	return err
}
