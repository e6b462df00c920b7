package linux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux/scratch"
)

// Sandbox is one sandbox of a [Driver].
type Sandbox struct {
	driver *Driver
	spec   sandbox.Spec
	// freezer is set by acquire and has its own lock; nil: there is none.
	freezer *freezer
	// forks holds who has a process copied: one at a time; nil: of a copy.
	forks chan struct{}

	// mu guards all below. Destroy holds it to its end, so that a second call
	// waits for the first.
	mu        sync.Mutex
	bound     bool     // whole: from the beginning or by Bind, whatever came of that
	root      *mountNS // of a sandbox that isn't bound yet, from Start on
	limits    limits   // in force
	uid       int      // 0: none of its own
	group     cgroup
	ns        Namespace
	disk      *scratch.Disk // nil: /tmp is in memory
	listeners []net.Listener
	proc      *proc
	destroyed bool
}

var (
	_ sandbox.Sandbox = (*Sandbox)(nil)
	_ sandbox.Limiter = (*Sandbox)(nil)
	_ sandbox.Binder  = (*Sandbox)(nil)
	_ sandbox.Freezer = (*Sandbox)(nil)
	_ sandbox.Meter   = (*Sandbox)(nil)
)

// ID returns the id of the sandbox's spec.
func (s *Sandbox) ID() string { return s.spec.ID }

// acquire gets what the sandbox needs. After an error, release gives back what
// was had by then.
func (s *Sandbox) acquire(ctx context.Context) (err error) {
	d := s.driver
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("create sandbox: %w", err)
	}
	if d.privileged {
		if s.uid, err = d.uids.take(); err != nil {
			return err
		}
	}
	if s.group, err = d.groups.take(); err != nil {
		s.group = nil
		return fmt.Errorf("create sandbox: %w", err)
	}
	s.freezer = s.group.freezer()
	if err := s.limit(s.spec.MemoryBytes, s.spec.MilliCPU); err != nil {
		return fmt.Errorf("create sandbox: %w", err)
	}
	if s.spec.Unbound {
		s.ns, err = d.network.AcquireUnbound(ctx)
	} else {
		s.ns, err = d.network.Acquire(ctx, s.spec.Egress)
	}
	if err != nil {
		s.ns = nil
		return fmt.Errorf("create sandbox: %w", err)
	}
	if s.spec.Unbound {
		return nil
	}
	s.bound = true
	if s.disk, err = d.disk(ctx, s.spec.TmpBytes); err != nil {
		return fmt.Errorf("create sandbox: %w", err)
	}
	return nil
}

// limit sets the limits in force.
func (s *Sandbox) limit(memoryBytes int64, milliCPU int) error {
	l := limits{memoryBytes: memoryBytes, milliCPU: milliCPU, pids: s.spec.PIDs}
	if l == s.limits {
		return nil
	}
	was := s.limits
	s.limits = limits{} // not known any more, should it fail
	if err := s.group.limit(was, l); err != nil {
		return err
	}
	s.limits = l
	return nil
}

// disk returns a disk for /tmp; nil: /tmp is in memory.
func (d *Driver) disk(ctx context.Context, size int64) (*scratch.Disk, error) {
	if d.cfg.Scratch == nil || !d.privileged {
		return nil, nil
	}
	return d.cfg.Scratch.Acquire(ctx, size)
}

// Listen opens a TCP listener in the sandbox's network namespace, at an IPv4
// address.
func (s *Sandbox) Listen(ctx context.Context, address string) (net.Listener, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("listen in sandbox: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.destroyed {
		return nil, sandbox.ErrDestroyed
	}
	l, err := s.ns.Listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("listen in sandbox: %w", err)
	}
	s.listeners = append(s.listeners, l)
	return l, nil
}

// Start runs the sandbox's first process. It is process 1 of the sandbox, so
// signals that it has no handler for are ignored, except SIGKILL and SIGSTOP.
func (s *Sandbox) Start(ctx context.Context, cmd sandbox.Command) (sandbox.Process, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.destroyed:
		return nil, sandbox.ErrDestroyed
	case s.proc != nil:
		return nil, sandbox.ErrStarted
	}
	p, err := s.spawn(ctx, &cmd)
	if err != nil {
		return nil, err
	}
	s.proc = p
	return p, nil
}

// spawn runs the sandbox's script on a thread of the driver.
func (s *Sandbox) spawn(ctx context.Context, cmd *sandbox.Command) (*proc, error) {
	if err := s.renewDisk(ctx); err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	script, how, release, err := s.script(cmd)
	if err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	defer release()
	var pid int
	done := make(chan struct{})
	job := func() {
		defer close(done)
		pid, err = script.start(how)
	}
	select {
	case s.driver.spawners.jobs <- job:
		<-done
	case <-ctx.Done():
		return nil, fmt.Errorf("start sandbox: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, startFault(err, cmd.Path)
	}
	// Nobody waits for the process yet: even if it has ended, its id is its own
	// and /proc tells of it.
	if err := s.driver.leftovers.note(s, pid); err != nil {
		discard(pid)
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	p, err := newProc(pid)
	if err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	return p, nil
}

// startFault tells a program that can't be executed from a failure of ours.
func startFault(err error, program string) error {
	var failed *scriptError
	if !errors.As(err, &failed) || !failed.last {
		return fmt.Errorf("start sandbox: %w", err)
	}
	return sandbox.ProgramFault(err, program)
}

// Limit replaces the sandbox's limits of memory and processor.
func (s *Sandbox) Limit(memoryBytes int64, milliCPU int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.destroyed {
		return sandbox.ErrDestroyed
	}
	if memoryBytes <= 0 || milliCPU <= 0 {
		return fault.New(fault.Invalid, "SandboxLimits", "the limits of sandbox %q must be positive", s.spec.ID)
	}
	return s.limit(memoryBytes, milliCPU)
}

// Usage reports what the sandbox has used.
func (s *Sandbox) Usage() (sandbox.Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.destroyed {
		return sandbox.Usage{}, sandbox.ErrDestroyed
	}
	u, err := s.group.usage()
	if s.proc != nil {
		u.Delay = s.proc.delay()
	}
	return u, err
}

// CPU reports what processor time the sandbox has used.
func (s *Sandbox) CPU() (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.destroyed {
		return 0, sandbox.ErrDestroyed
	}
	return s.group.cpu()
}

// endMilliCPU is the least share of a sandbox that is being destroyed.
const endMilliCPU = 1000

// destroyTimeout bounds the end of processes that are being killed, if the
// caller's context does not.
const destroyTimeout = 30 * time.Second

// Destroy kills everything in the sandbox and frees what it held. After an
// error it may be called again.
func (s *Sandbox) Destroy(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.destroyed = true
	return s.release(ctx)
}

// hurry gives the sandbox a whole processor to end with: a process that was
// killed takes the processor to go, and a small share of a busy machine makes
// that last. What doesn't succeed here is only slower.
func (s *Sandbox) hurry() {
	if s.group != nil {
		_ = s.limit(max(s.limits.memoryBytes, s.spec.MemoryBytes), max(s.limits.milliCPU, endMilliCPU))
	}
}

// end kills what runs. It is killed before it is thawed, so that nothing of it
// goes on.
func (s *Sandbox) end(ctx context.Context) error {
	if err := s.proc.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	if s.freezer != nil {
		if err := s.freezer.close(); err != nil {
			return err
		}
	}
	return s.proc.end(ctx)
}

// release frees what the sandbox still holds, in the order in which nothing is
// used any more. What it could not free stays held for the next call.
func (s *Sandbox) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, destroyTimeout)
	defer cancel()
	for _, l := range s.listeners {
		_ = l.Close() // the caller may have closed it
	}
	s.listeners = nil
	if s.proc != nil {
		s.hurry()
		if err := s.end(ctx); err != nil {
			return fmt.Errorf("destroy sandbox: %w", err)
		}
		s.proc.sched.close()
		s.proc = nil
	}
	s.dropRoot()
	if s.group != nil {
		if err := s.group.remove(ctx); err != nil {
			return fmt.Errorf("destroy sandbox: %w", err)
		}
		s.group = nil
	}
	if s.ns != nil {
		if err := s.ns.Release(); err != nil {
			return fmt.Errorf("destroy sandbox: %w", err)
		}
		s.ns = nil
	}
	if s.disk != nil {
		if err := s.disk.Close(); err != nil {
			return fmt.Errorf("destroy sandbox: %w", err)
		}
		s.disk = nil
	}
	if s.uid != 0 {
		s.driver.uids.give(s.uid)
		s.uid = 0
	}
	if err := s.driver.leftovers.forget(s); err != nil {
		return fmt.Errorf("destroy sandbox: %w", err)
	}
	s.driver.delist(s)
	return nil
}
