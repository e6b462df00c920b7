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
	// fd is the process's pidfd, which file has in the runtime's poller: waiting
	// takes no thread.
	fd   int
	file *os.File
	done chan struct{}
	exit sandbox.Exit // set before done is closed
	// sched reads how the process was scheduled; the sandbox's mu guards it.
	sched meter

	// status takes the exit status once the process has ended, and reports false
	// before. freed is called after.
	status func() (unix.WaitStatus, bool)
	freed  func()

	mu     sync.Mutex
	reaped bool
}

var _ sandbox.Process = (*proc)(nil)

// newProc takes over a process of ours that nobody has reaped. Its goroutine ends
// with the process.
func newProc(pid int) (*proc, error) {
	p, err := watch(pid)
	if err != nil {
		discard(pid)
		return nil, err
	}
	p.status, p.freed = p.reap, func() {}
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

// watch opens a process, for which nobody waits yet.
func watch(pid int) (*proc, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open a process: %w", err)
	}
	return &proc{pid: pid, fd: fd, file: os.NewFile(uintptr(fd), "pidfd"), done: make(chan struct{})}, nil
}

// discard ends a process that nobody waits for.
func discard(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	reap(pid)
}

func (p *proc) wait() {
	defer close(p.done)
	defer func() { _ = p.file.Close() }()
	var status unix.WaitStatus
	conn, err := p.file.SyscallConn()
	if err == nil {
		err = conn.Read(func(uintptr) bool { return p.ended(&status) })
	}
	for err != nil && !p.ended(&status) {
		// The poller can't watch it: wait in a thread.
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, -1)
	}
	p.exit = exitOf(status)
	p.freed()
}

// ended takes the exit status if the process has ended. Nobody can signal its id
// after.
func (p *proc) ended(status *unix.WaitStatus) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ok bool
	*status, ok = p.status()
	p.reaped = ok
	return ok
}

// reap is the status of a process that is a child of ours, which ends with it.
func (p *proc) reap() (status unix.WaitStatus, ok bool) {
	for {
		switch pid, err := unix.Wait4(p.pid, &status, unix.WNOHANG, nil); {
		case errors.Is(err, unix.EINTR):
		case pid == 0 && err == nil:
			return status, false
		default:
			return status, true
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
