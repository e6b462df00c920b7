package output_test

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/runtimeapi/output"
)

// enlarge makes a pipe as large as an unprivileged process can, and returns the
// size.
func enlarge(f *os.File) int {
	const most = 1 << 20
	if size, err := unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, most); err == nil {
		return size
	}
	return 64 << 10
}

// TestPipesOpenAnewUnderAnotherUser is what "> /dev/stderr" does in a sandbox,
// whose user is not the node's.
func TestPipesOpenAnewUnderAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("without root the user stays the same")
	}
	var got lines
	o, err := output.New(output.Config{Emit: got.add})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "echo out > /dev/stdout && echo err > /dev/stderr")
	cmd.Stdout, cmd.Stderr, cmd.Dir = o.Stdout(), o.Stderr(), "/"
	if os.Getuid() == 0 {
		const somebody = 23456
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebody, Gid: somebody}}
	}
	runErr := cmd.Start()
	o.Begin()
	if runErr == nil {
		runErr = cmd.Wait()
	}
	o.Drain()
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if runErr != nil {
		t.Errorf("run: %v, said %q", runErr, got.take())
	}
	if diff := cmp.Diff(map[string]bool{"stdout  out": true, "stderr  err": true}, set(got.take())); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestWritersWait sees that a process's ends are blocking, as programs expect.
func TestWritersWait(t *testing.T) {
	o, err := output.New(output.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{o.Stdout(), o.Stderr()} {
		flags, err := unix.FcntlInt(inherit(t, f).Fd(), unix.F_GETFL, 0)
		if err != nil {
			t.Fatal(err)
		}
		if flags&unix.O_NONBLOCK != 0 {
			t.Errorf("flags of %s = 0%s: does not block", f.Name(), strconv.FormatInt(int64(flags), 8))
		}
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

func set(lines []string) map[string]bool {
	s := make(map[string]bool, len(lines))
	for _, l := range lines {
		s[l] = true
	}
	return s
}
