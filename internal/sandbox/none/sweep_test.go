//go:build unix

package none_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/sandbox/none"
)

// leftover makes what a crashed node leaves of a sandbox: a process group, and a
// note of it that was written at the time given. The group ends with the test.
func leftover(t *testing.T, state string, noted time.Time) io.Reader {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	dir := filepath.Join(state, "left")
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(dir, "pid")
	if err := os.WriteFile(note, []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(note, noted, noted); err != nil {
		t.Fatal(err)
	}
	return out
}

func sweep(t *testing.T, state string) {
	t.Helper()
	d, err := none.New(none.Config{StateDir: state})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Sweep(t.Context()); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if left, _ := os.ReadDir(state); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestSweepKillsWhatACrashLeft(t *testing.T) {
	state := t.TempDir()
	out := leftover(t, state, time.Now())
	sweep(t, state)
	// The output ends with the process.
	if _, err := io.ReadAll(out); err != nil {
		t.Error(err)
	}
}

func TestSweepLeavesOthersAlone(t *testing.T) {
	state := t.TempDir()
	leftover(t, state, time.Now().Add(-time.Hour)) // its id was another's then
	b, err := os.ReadFile(filepath.Join(state, "left", "pid"))
	if err != nil {
		t.Fatal(err)
	}
	sweep(t, state)
	pid, _ := strconv.Atoi(string(b))
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the process is gone: %v", err)
	}
}
