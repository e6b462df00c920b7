package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox"
)

// proc is the first process of a sandbox.
type proc struct {
	pid int
	// fd is the process's pidfd, in the runtime's poller: waiting takes no thread.
	fd   *os.File
	done chan struct{}
	exit sandbox.Exit // set before done is closed
	// sched reads how the process was scheduled; the sandbox's mu guards it.
	sched meter

	mu     sync.Mutex
	reaped bool
}

var _ sandbox.Process = (*proc)(nil)

// newProc takes over a process that nobody has reaped. Its goroutine ends with
// the process.
func newProc(pid int) (*proc, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		discard(pid)
		return nil, fmt.Errorf("open a process: %w", err)
	}
	p := &proc{pid: pid, fd: os.NewFile(uintptr(fd), "pidfd"), done: make(chan struct{})}
	go p.wait() // end waits for it
	return p, nil
}

// delay returns how long the process's main thread has waited for a processor; 0
// if the kernel doesn't say.
func (p *proc) delay() time.Duration {
	line, err := p.sched.read("/proc/"+strconv.Itoa(p.pid), "schedstat")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(line, []byte(" "))
	waited, _, _ := bytes.Cut(rest, []byte(" "))
	n, err := parseNumber("schedstat", waited)
	if err != nil {
		return 0
	}
	return time.Duration(n)
}

// discard ends a process that nobody waits for.
func discard(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	reap(pid)
}

func (p *proc) wait() {
	defer close(p.done)
	defer func() { _ = p.fd.Close() }()
	var status unix.WaitStatus
	conn, err := p.fd.SyscallConn()
	if err == nil {
		err = conn.Read(func(uintptr) bool { return p.tryReap(&status) })
	}
	for err != nil && !p.tryReap(&status) {
		// The poller can't watch it: wait in a thread.
		var info unix.Siginfo
		_ = unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
	}
	p.exit = exitOf(status)
}

// tryReap reaps the process if it has ended. Nobody can signal its id after.
func (p *proc) tryReap(status *unix.WaitStatus) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch pid, err := unix.Wait4(p.pid, status, unix.WNOHANG, nil); {
		case errors.Is(err, unix.EINTR):
		case pid == 0 && err == nil:
			return false
		default:
			p.reaped = true
			return true
		}
	}
}

func exitOf(status unix.WaitStatus) sandbox.Exit {
	if status.Signaled() {
		return sandbox.Exit{Code: -1, Signal: status.Signal().String()}
	}
	return sandbox.Exit{Code: status.ExitStatus()}
}

func (p *proc) PID() int              { return p.pid }
func (p *proc) Done() <-chan struct{} { return p.done }
func (p *proc) Exit() sandbox.Exit    { return p.exit }

func (p *proc) Signal(sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal process: %v is not a signal of this system", sig)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return nil
	}
	if err := unix.Kill(p.pid, number); err != nil {
		return fmt.Errorf("signal process: %w", err)
	}
	return nil
}

// end kills the process, and all in its pid namespace with it, and waits until
// they are gone: the kernel ends the first process of a namespace last.
func (p *proc) end(ctx context.Context) error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for process %d to end: %w", p.pid, context.Cause(ctx))
	}
}
