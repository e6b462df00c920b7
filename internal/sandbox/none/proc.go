//go:build unix

package none

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"mayfly.dev/mayfly/internal/sandbox"
)

// proc is the first process of a sandbox, and leads its process group.
type proc struct {
	cmd  *exec.Cmd
	done chan struct{}
}

var _ sandbox.Process = (*proc)(nil)

func start(cmd *exec.Cmd) (*proc, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &proc{cmd: cmd, done: make(chan struct{})}
	go p.wait() // end waits for it
	return p, nil
}

func (p *proc) wait() {
	defer close(p.done)
	_ = p.cmd.Wait() // Exit tells how it ended
	// All in the sandbox ends with its first process. The group's id stays taken
	// as long as anything is in the group.
	p.killGroup()
}

func (p *proc) killGroup() { _ = syscall.Kill(-p.PID(), syscall.SIGKILL) }

func (p *proc) PID() int              { return p.cmd.Process.Pid }
func (p *proc) Done() <-chan struct{} { return p.done }

func (p *proc) Exit() sandbox.Exit {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return sandbox.Exit{Code: -1, Signal: status.Signal().String()}
	}
	return sandbox.Exit{Code: p.cmd.ProcessState.ExitCode()}
}

func (p *proc) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process: %w", err)
	}
	return nil
}

func (p *proc) usage() sandbox.Usage {
	select {
	case <-p.done:
		state := p.cmd.ProcessState
		return sandbox.Usage{CPU: state.UserTime() + state.SystemTime()}
	default:
		return sandbox.Usage{}
	}
}

// end kills the process group and waits for the process.
func (p *proc) end(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	default:
		p.killGroup()
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for process %d to end: %w", p.PID(), context.Cause(ctx))
	}
}

// noteFile holds the id of a sandbox's first process, for the sweep after a
// crash.
const noteFile = "pid"

func note(file string, pid int) error {
	return os.WriteFile(file, []byte(strconv.Itoa(pid)), 0o600)
}

// noteDelay is how much later than its process a note may have been written, by
// clocks that show seconds.
const noteDelay = 3 * time.Second

// killNoted kills the process group that a note names if its leader was started
// right before the note was written; else the id belongs to somebody else now.
func killNoted(ctx context.Context, file string) error {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		return fmt.Errorf("read the process's id: %w", err)
	}
	if pid <= 1 || !groupExists(pid) {
		return nil
	}
	started, err := startTime(ctx, pid)
	if err != nil {
		return err
	}
	if delay := info.ModTime().Sub(started); delay < -time.Second || delay > noteDelay {
		return nil
	}
	return syscall.Kill(-pid, syscall.SIGKILL)
}

func groupExists(pid int) bool { return syscall.Kill(-pid, 0) == nil }
