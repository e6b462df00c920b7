package ptrace

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrEnded says that the process ended meanwhile.
var ErrEnded = errors.New("the process has ended")

// Options says how a copy is made.
type Options struct {
	// Namespaces are clone's flags for namespaces that the copy is made in.
	Namespaces uint64
	// Unlimited are the resources whose limits must not hold for all copies
	// together. The kernel takes the process's own limits as those of a new user
	// namespace, beside the limits inside, which stay as they are.
	Unlimited []int
}

// What is asked of the kernel for the process, and from its call of fork until
// the copy is there. The copy inherits the latter: it dies with us, and the
// filter does not hold for it until it is let go.
const (
	watching = unix.PTRACE_O_TRACESYSGOOD
	copying  = watching | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACECLONE |
		unix.PTRACE_O_SUSPEND_SECCOMP | unix.PTRACE_O_EXITKILL
)

// Check reports whether process pid can be traced as [Fork] does.
func Check(pid int) error {
	return locked(func() error {
		t, err := seize(pid)
		if err != nil {
			return err
		}
		err = unix.PtraceSetOptions(pid, watching|unix.PTRACE_O_SUSPEND_SECCOMP)
		if err != nil {
			err = fmt.Errorf("suspend the filter of a process: %w", err)
		}
		return errors.Join(err, t.release())
	})
}

// Fork has process pid, which must have one thread and wait for a message, copy
// itself. ask sends it the message whose answer is to call fork. prepare gets the
// copy before that runs; if it fails, the copy is killed. The process goes on
// before prepare is called. After an error of Fork there is no copy.
func Fork(ctx context.Context, pid int, o Options, ask func() error, prepare func(*Copy) error) error {
	return locked(func() error {
		c, err := o.fork(ctx, pid, ask)
		if err != nil {
			return err
		}
		if err := prepare(c); err != nil {
			return errors.Join(err, c.kill())
		}
		return c.release()
	})
}

// locked runs do on a thread of its own: a process knows one thread alone as its
// tracer. The thread ends with it, and lets go of all that it may still trace,
// dead processes among them that others wait for. So it is never the process's
// first one, which can't end.
func locked(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() == unix.Getpid() {
			done <- locked(do) // on another, as this one is taken
			runtime.UnlockOSThread()
			return
		}
		done <- do()
	}()
	return <-done
}

func (o *Options) fork(ctx context.Context, pid int, ask func() error) (_ *Copy, err error) {
	t, err := seize(pid)
	if err != nil {
		return nil, err
	}
	stop := t.interruptWith(ctx)
	defer func() { err = errors.Join(err, stop(), t.release()) }()
	if err := ask(); err != nil {
		return nil, err
	}
	if err := t.reachFork(ctx); err != nil {
		return nil, fmt.Errorf("wait for a process to fork: %w", err)
	}
	return o.take(t)
}

// take changes the call of fork that t is about to make and returns the copy.
func (o *Options) take(t *tracee) (*Copy, error) {
	r, err := t.registers()
	if err != nil {
		return nil, err
	}
	limits, err := o.lift(t.pid)
	if err != nil {
		return nil, err
	}
	own := r
	r.forkInto(o.Namespaces)
	child, err := t.copied(&r)
	err = errors.Join(err, limits.restore(t.pid))
	if child == 0 {
		return nil, err
	}
	c := &Copy{PID: child}
	if err == nil {
		_, err = t.putBack(&own)
	}
	if err == nil {
		err = errors.Join(limits.restore(child), c.begin(&own))
	}
	if err != nil {
		return nil, errors.Join(err, c.kill())
	}
	return c, nil
}

// copied lets t go through its call with registers r, and returns the id of the
// copy.
func (t *tracee) copied(r *registers) (child int, err error) {
	if err := errors.Join(t.setRegisters(r), unix.PtraceSetOptions(t.pid, copying)); err != nil {
		return 0, fmt.Errorf("change a call of fork: %w", err)
	}
	defer func() { err = errors.Join(err, unix.PtraceSetOptions(t.pid, watching)) }()
	for {
		if err := t.resume(); err != nil {
			return 0, err
		}
		s, err := t.wait()
		if err != nil {
			return 0, err
		}
		switch s.event {
		case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_CLONE:
			id, err := unix.PtraceGetEventMsg(t.pid)
			return int(id), err
		}
		if s.syscall { // the end of the call, without a copy
			return 0, t.failure()
		}
	}
}

// limits are resource limits by resource.
type limits map[int]unix.Rlimit

// lift takes the limits of o.Unlimited from a process and returns them. It leaves
// them where this process may not raise limits.
func (o *Options) lift(pid int) (limits, error) {
	old := make(limits)
	none := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	for _, resource := range o.Unlimited {
		var was unix.Rlimit
		err := unix.Prlimit(pid, resource, &none, &was)
		if errors.Is(err, unix.EPERM) {
			break
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lift resource limit %d: %w", resource, err), old.restore(pid))
		}
		old[resource] = was
	}
	return old, nil
}

func (l limits) restore(pid int) error {
	var errs []error
	for resource, was := range l {
		if err := unix.Prlimit(pid, resource, &was, nil); err != nil {
			errs = append(errs, fmt.Errorf("restore resource limit %d: %w", resource, err))
		}
	}
	return errors.Join(errs...)
}
