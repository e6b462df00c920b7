package ptrace

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// tracee is a process that the calling thread traces.
type tracee struct {
	pid int
	// signal is to be delivered when the process goes on; 0: none.
	signal int
}

// seize begins to trace a process and stops it.
func seize(pid int) (*tracee, error) {
	if err := unix.PtraceSeize(pid); err != nil {
		return nil, fmt.Errorf("trace process %d: %w", pid, err)
	}
	t := &tracee{pid: pid}
	err := unix.PtraceInterrupt(pid)
	if err == nil {
		_, err = t.wait()
	}
	if err == nil {
		err = unix.PtraceSetOptions(pid, watching)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stop process %d: %w", pid, err), t.release())
	}
	return t, nil
}

// stop says why a process stopped.
type stop struct {
	// event is one of PTRACE_EVENT_..., 0: none.
	event int
	// syscall says that the process enters or leaves a system call.
	syscall bool
}

// wait waits for the process to stop. It never reaps it: that is another's task.
func (t *tracee) wait() (stop, error) {
	for {
		code, _, err := awaitChange(t.pid, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT)
		if err != nil {
			return stop{}, err
		}
		if code != childTrapped && code != childStopped {
			return stop{}, ErrEnded
		}
		code, status, err := awaitChange(t.pid, unix.WSTOPPED|unix.WNOHANG)
		if err != nil {
			return stop{}, err
		}
		if code == 0 {
			continue // it was killed in between
		}
		s := stop{event: status >> 8, syscall: status == int(unix.SIGTRAP)|0x80}
		t.signal = 0
		if s.event == 0 && !s.syscall {
			t.signal = status
		}
		return s, nil
	}
}

// resume lets a stopped process go on to its next stop, which is the beginning
// or the end of a system call at the latest.
func (t *tracee) resume() error {
	if err := unix.PtraceSyscall(t.pid, t.signal); err != nil {
		return fmt.Errorf("resume process %d: %w", t.pid, err)
	}
	return nil
}

// release stops to trace a process, which goes on if it was stopped. One that has
// ended is no error.
func (t *tracee) release() error {
	err := detach(t.pid, t.signal)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("let process %d go: %w", t.pid, err)
	}
	return nil
}

// reachFork lets the process run until it is about to call fork.
func (t *tracee) reachFork(ctx context.Context) error {
	for {
		if err := t.resume(); err != nil {
			return err
		}
		s, err := t.wait()
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			t.signal = 0 // it may be ours
			return context.Cause(ctx)
		}
		if !s.syscall {
			continue
		}
		if nr, flags, err := t.entering(); err != nil || isFork(nr, flags) {
			return err
		}
	}
}

// interruptWith has the process stop when ctx ends, so that wait returns. stop,
// to be called while the process is still traced, ends that.
func (t *tracee) interruptWith(ctx context.Context) (stop func() error) {
	var running sync.WaitGroup
	running.Add(1)
	cancel := context.AfterFunc(ctx, func() {
		defer running.Done()
		_ = unix.Kill(t.pid, unix.SIGSTOP) // it may have ended
	})
	return func() error {
		if cancel() {
			return nil
		}
		running.Wait()
		if err := unix.Kill(t.pid, unix.SIGCONT); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("continue process %d: %w", t.pid, err)
		}
		return nil
	}
}

// registers are those of a stopped process.
type registers struct{ unix.PtraceRegs }

func (t *tracee) registers() (registers, error) {
	var r registers
	if err := unix.PtraceGetRegs(t.pid, &r.PtraceRegs); err != nil {
		return r, fmt.Errorf("read the registers of process %d: %w", t.pid, err)
	}
	return r, nil
}

func (t *tracee) setRegisters(r *registers) error {
	if err := unix.PtraceSetRegs(t.pid, &r.PtraceRegs); err != nil {
		return fmt.Errorf("set the registers of process %d: %w", t.pid, err)
	}
	return nil
}

// putBack undoes in the registers what forkInto did to own.
func (t *tracee) putBack(own *registers) (registers, error) {
	r, err := t.registers()
	if err != nil {
		return r, err
	}
	r.returned(own)
	return r, t.setRegisters(&r)
}
