package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux/ptrace"
)

// A copy has namespaces of its own, as a sandbox that was started has, and a
// user namespace that owns them: the kernel asks the forking process, which has
// no privilege, for the right to make them, and gives it this way.
const copyNamespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | sandboxNamespaces

// userLimits are the resource limits that the kernel counts by user.
var userLimits = []int{unix.RLIMIT_NPROC, unix.RLIMIT_MEMLOCK, unix.RLIMIT_MSGQUEUE, unix.RLIMIT_SIGPENDING}

var _ sandbox.Forker = (*Sandbox)(nil)

// Fork makes a sandbox that holds a copy of the only child of s's first process.
func (s *Sandbox) Fork(ctx context.Context, spec sandbox.Spec, f sandbox.Forking) (sandbox.Sandbox, sandbox.Process, error) {
	spec.Unbound = false
	if err := checkSpec(&spec); err != nil {
		return nil, nil, err
	}
	c := &Sandbox{driver: s.driver, spec: spec}
	if err := s.driver.enlist(c); err != nil {
		return nil, nil, err
	}
	err := c.inherit(ctx, s)
	if err == nil {
		err = c.copyFrom(ctx, s, f)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("fork sandbox: %w", err), c.Destroy(context.WithoutCancel(ctx)))
	}
	return c, c.proc, nil
}

// shareUID gives the sandbox's user to one more, who must give it back.
func (s *Sandbox) shareUID() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.destroyed {
		return 0, sandbox.ErrDestroyed
	}
	if s.uid != 0 {
		s.driver.uids.share(s.uid)
	}
	return s.uid, nil
}

// copyFrom has a process of another sandbox copied into s.
func (s *Sandbox) copyFrom(ctx context.Context, from *Sandbox, f sandbox.Forking) error {
	select {
	case from.forks <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-from.forks }()
	pid, err := from.forking()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, forkTimeout, errForkTimeout)
	defer cancel()
	o := ptrace.Options{Namespaces: copyNamespaces, Unlimited: userLimits}
	asked := false
	ask := func() error { asked = true; return f.Ask() }
	err = ptrace.Fork(ctx, pid, o, ask, func(c *ptrace.Copy) error { return s.move(ctx, c, f.Reap) })
	if err != nil && asked && s.proc == nil {
		f.Reap() // if there was a copy, it has been killed
	}
	return err
}

// A process forks within milliseconds, unless user code's own hooks take longer.
const forkTimeout = 5 * time.Second

var errForkTimeout = errors.New("the process did not fork in time")

// forking returns the process of s that is copied.
func (s *Sandbox) forking() (pid int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.destroyed:
		return 0, sandbox.ErrDestroyed
	case s.proc == nil:
		return 0, sandbox.ErrNotStarted
	case !s.driver.privileged:
		return 0, fault.New(fault.Unsupported, "ForkRefused", "without root, the node can't copy processes")
	}
	return onlyChild(s.proc.pid)
}

// onlyChild returns the child of a process that has one.
func onlyChild(pid int) (int, error) {
	id := strconv.Itoa(pid)
	b, err := os.ReadFile(filepath.Join("/proc", id, "task", id, "children"))
	if err != nil {
		return 0, fault.Wrap(err, fault.Unsupported, "ForkRefused", "this kernel does not tell the children of a process")
	}
	var child int
	if _, err := fmt.Sscan(string(b), &child); err != nil {
		return 0, fault.New(fault.Unsupported, "NotForkable", "the sandbox's first process has no child")
	}
	return child, nil
}

// inherit gets what the sandbox needs before its process is there. After an
// error, Destroy gives back what was had by then.
func (s *Sandbox) inherit(ctx context.Context, from *Sandbox) (err error) {
	d := s.driver
	if s.uid, err = from.shareUID(); err != nil {
		return err
	}
	if s.group, err = d.groups.take(); err != nil {
		s.group = nil
		return err
	}
	s.freezer = s.group.freezer()
	if err := s.limit(s.spec.MemoryBytes, s.spec.MilliCPU); err != nil {
		return err
	}
	s.bound = true
	if s.disk, err = d.disk(ctx, s.spec.TmpBytes); err != nil {
		return err
	}
	if s.disk != nil {
		s.disk.Claim()
	}
	return nil
}

// move takes a copy, which has not run yet, out of what it shares with its
// origin.
func (s *Sandbox) move(ctx context.Context, c *ptrace.Copy, reap func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The kernel makes those wait who move others than themselves, for longer than
	// all else takes together.
	joined := make(chan error, 1)
	go func() { joined <- s.group.adopt(c.PID) }()
	err := s.isolate(ctx, c.PID)
	if err == nil {
		err = c.Disarm(s.driver.lastCapability)
	}
	if err = errors.Join(err, <-joined); err != nil {
		return err
	}
	if err := s.driver.leftovers.note(s, c.PID); err != nil {
		return err
	}
	p, err := newCopyProc(context.WithoutCancel(ctx), c.PID, reap)
	if err != nil {
		return err
	}
	s.proc = p
	return nil
}

// isolate gives the namespaces of a copy what is the sandbox's own.
func (s *Sandbox) isolate(ctx context.Context, pid int) error {
	if err := mapOwn(pid, s.identity()); err != nil {
		return err
	}
	if err := s.wire(ctx, pid); err != nil {
		return err
	}
	return s.refurnish(pid)
}

// mapOwn makes a process's user namespace know the process's own user and group,
// and no other.
func mapOwn(pid int, id identity) error {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	return errors.Join(
		set(dir, "setgroups", "deny"),
		set(dir, "uid_map", fmt.Sprintf("%d %d 1", id.uid, id.uid)),
		set(dir, "gid_map", fmt.Sprintf("%d %d 1", id.gid, id.gid)),
	)
}

// wire gives the copy's network namespace the sandbox's policy.
func (s *Sandbox) wire(ctx context.Context, pid int) error {
	a, ok := s.driver.network.(Adopter)
	if !ok {
		return fault.New(fault.Unsupported, "ForkRefused", "the node's network does not take namespaces of others")
	}
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "ns", "net"))
	if err != nil {
		return err
	}
	s.ns, err = a.Adopt(ctx, f, s.spec.Egress)
	if err != nil {
		s.ns = nil
	}
	return err
}

// refurnish mounts over what the copy's root shares with its origin: /proc of its
// own pid namespace, /tmp and /dev/shm; and it names the sandbox.
func (s *Sandbox) refurnish(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }()
	sc := newScript()
	sc.do("enter the pid namespace", unix.SYS_SETNS, uintptr(fd), unix.CLONE_NEWPID)
	sc.fork(process{})
	proc := sc.procMount()
	sc.do("enter the sandbox", unix.SYS_SETNS, uintptr(fd), unix.CLONE_NEWNS|unix.CLONE_NEWUTS)
	name := sc.refs.cstring(s.spec.ID)
	sc.do("set the host name", unix.SYS_SETHOSTNAME, name, uintptr(len(s.spec.ID)))
	sc.do("enter the root", unix.SYS_CHDIR, sc.refs.cstring("/"))
	sc.on("mount", "/proc", unix.SYS_MOVE_MOUNT, 0, sc.refs.cstring(""), atFDCWD, sc.refs.cstring("proc"),
		unix.MOVE_MOUNT_F_EMPTY_PATH).load = proc
	sc.include(s.driver.layout.mask)
	sc.mount("tmpfs", "dev/shm", "tmpfs", plain|unix.MS_NOEXEC, shmOptions)
	mountTmp(sc, s.disk, s.spec.TmpBytes)
	return sc.finish(process{})
}

// procMount makes a file system /proc of the process's pid namespace, mounted
// nowhere. In the mount namespace of a user namespace the kernel allows that
// only while nothing of an older one is masked.
func (s *script) procMount() slot {
	fs, mount := newSlot(), newSlot()
	s.do("make /proc", unix.SYS_FSOPEN, s.refs.cstring("proc"), unix.FSOPEN_CLOEXEC).save = fs
	s.do("make /proc", unix.SYS_FSCONFIG, 0, unix.FSCONFIG_CMD_CREATE, 0, 0, 0).load = fs
	o := s.do("make /proc", unix.SYS_FSMOUNT, 0, unix.FSMOUNT_CLOEXEC, readOnly&^unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOEXEC)
	o.load, o.save = fs, mount
	return mount
}
