package linux

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// script is a list of system calls for a new process to make, in order, before
// it executes a program or ends. It is how a sandbox is made: the process is
// already inside its new namespaces, which a thread of ours could not be (the
// file system /proc belongs to the pid namespace of whoever mounts it), and it
// costs no program of our own that would have to be executed first.
//
// The process shares our memory until it executes something (as vfork's child
// does), so nothing of the Go runtime may run in it; see [spawn].
type script struct {
	ops  []op
	what []call
	refs referents
	// inner receives the id of the process that a fork op made.
	inner *int32
}

// call names an op for its error: what was done, and to what.
type call struct{ verb, object string }

func (c call) String() string {
	if c.object == "" {
		return c.verb
	}
	return c.verb + " " + c.object
}

// include appends the ops of a script that is the same for all sandboxes. That
// one must not use slots, which each run writes.
func (s *script) include(fixed *script) {
	s.ops = append(s.ops, fixed.ops...)
	s.what = append(s.what, fixed.what...)
	s.refs.values = append(s.refs.values, fixed)
}

// newScript returns a script with room for what a sandbox takes.
func newScript() *script {
	const calls = 256
	return &script{ops: make([]op, 0, calls), what: make([]call, 0, calls)}
}

// slot holds a result, mostly a descriptor, from one op for later ones.
type slot = *uintptr

// do appends a call that must succeed.
func (s *script) do(what string, nr uintptr, args ...uintptr) *op {
	return s.on(what, "", nr, args...)
}

// on is do for a call on an object.
func (s *script) on(verb, object string, nr uintptr, args ...uintptr) *op {
	o := op{nr: nr}
	copy(o.args[:], args)
	s.ops = append(s.ops, o)
	s.what = append(s.what, call{verb, object})
	return &s.ops[len(s.ops)-1]
}

// try is on for a call whose failure is passed over.
func (s *script) try(verb, object string, nr uintptr, args ...uintptr) {
	s.on(verb, object, nr, args...).mode = may
}

// newSlot returns a slot that holds no descriptor.
func newSlot() slot {
	v := ^uintptr(0)
	return &v
}

// scriptError says which call of a script failed.
type scriptError struct {
	what string
	// last says that it was the script's last call, the program's execution.
	last  bool
	errno unix.Errno
}

func (e *scriptError) Error() string { return e.what + ": " + e.errno.Error() }
func (e *scriptError) Unwrap() error { return e.errno }

// process says how a script's process is made.
type process struct {
	// flags are clone3's, without those that every process has.
	flags uint64
	// cgroup, if not 0, is a descriptor of the cgroup (version 2) to start in.
	cgroup uint64
}

func (p process) args() *cloneArgs {
	a := &cloneArgs{
		// Handlers of the Go runtime must not run in the process, which has no
		// thread that they know.
		flags:      p.flags | unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_CLEAR_SIGHAND,
		exitSignal: uint64(unix.SIGCHLD),
	}
	if p.cgroup != 0 {
		a.flags |= unix.CLONE_INTO_CGROUP
		a.cgroup = p.cgroup
	}
	return a
}

// fork appends a clone3 whose child, made as p says and a child of our own
// process, goes on with the script while the process that forked ends.
func (s *script) fork(p process) {
	a := p.args()
	s.inner = new(int32)
	a.flags |= unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID
	a.parentTID = uint64(address(&s.refs, s.inner))
	a.exitSignal = 0 // that of the forking process: clone3 wants none beside CLONE_PARENT
	s.do("fork", unix.SYS_CLONE3, address(&s.refs, a), cloneArgsSize).mode = fork
}

// start runs the script until it has executed its program, and returns the
// program's process, which the caller must reap.
func (s *script) start(p process) (pid int, err error) {
	pid, rep, err := run(p.args(), s.ops, &s.refs)
	if err != nil {
		return 0, fmt.Errorf("make a process: %w", err)
	}
	if s.inner != nil {
		reap(pid)
		pid = int(*s.inner)
	}
	if rep.failed == 0 {
		return pid, nil
	}
	if pid != 0 {
		reap(pid)
	}
	i := int(rep.failed) - 1
	return 0, &scriptError{what: s.what[i].String(), last: i == len(s.ops)-1, errno: unix.Errno(rep.errno)}
}

// finish runs a script that executes nothing, to its end.
func (s *script) finish(p process) error {
	pid, err := s.start(p)
	if err == nil {
		reap(pid)
	}
	return err
}

// reap waits for a process of ours that has ended or is about to.
func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

// The calls that scripts are made of.

func (s *script) mount(source, target, fsType string, flags uintptr, data string) {
	s.on("mount", target, unix.SYS_MOUNT, s.refs.cstring(source), s.refs.cstring(target),
		s.refs.cstring(fsType), flags, s.refs.cstring(data))
}

// bind mounts source, and what is mounted below it, at target with attributes
// attrs added.
func (s *script) bind(source, target string, attrs uint64) {
	s.on("bind", source, unix.SYS_MOUNT, s.refs.cstring(source), s.refs.cstring(target), 0, unix.MS_BIND|unix.MS_REC, 0)
	s.restrict(target, attrs)
}

// restrict adds attributes to the mount at target and to all below it.
func (s *script) restrict(target string, attrs uint64) {
	attr := &unix.MountAttr{Attr_set: attrs}
	s.on("restrict", target, unix.SYS_MOUNT_SETATTR, atFDCWD, s.refs.cstring(target), unix.AT_RECURSIVE,
		address(&s.refs, attr), mountAttrSize)
}

// ensureDir makes a directory unless there is one.
func (s *script) ensureDir(path string) {
	s.try("make directory", path, unix.SYS_MKDIRAT, atFDCWD, s.refs.cstring(path), 0o755)
}

// ensureFile makes an empty file unless there is one.
func (s *script) ensureFile(path string) {
	s.try("make file", path, unix.SYS_MKNODAT, atFDCWD, s.refs.cstring(path), unix.S_IFREG|0o444, 0)
}

func (s *script) symlink(target, path string) {
	s.on("link", path, unix.SYS_SYMLINKAT, s.refs.cstring(target), atFDCWD, s.refs.cstring(path))
}

// writeFile writes content, which may be empty, to a file that is made if need
// be.
func (s *script) writeFile(path, content string, mode uintptr) {
	fd := s.open(path, unix.O_WRONLY|unix.O_CREAT, mode)
	if content != "" {
		s.write(path, fd, content)
	}
	s.closeSlot(path, fd)
}

func (s *script) open(path string, flags, mode uintptr) slot {
	fd := newSlot()
	s.on("open", path, unix.SYS_OPENAT, atFDCWD, s.refs.cstring(path), flags|unix.O_CLOEXEC, mode).save = fd
	return fd
}

func (s *script) write(path string, fd slot, content string) {
	s.on("write", path, unix.SYS_WRITE, 0, s.refs.cstring(content), uintptr(len(content))).load = fd
}

func (s *script) closeSlot(path string, fd slot) {
	s.on("close", path, unix.SYS_CLOSE).load = fd
}

func (s *script) prctl(what string, args ...uintptr) { s.do(what, unix.SYS_PRCTL, args...) }

// loopbackUp starts the loopback interface of the process's network namespace.
func (s *script) loopbackUp() {
	request := &interfaceFlags{flags: unix.IFF_UP | unix.IFF_RUNNING}
	copy(request.name[:], "lo")
	fd := newSlot()
	s.do("open a socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0).save = fd
	s.do("start the loopback interface", unix.SYS_IOCTL, 0, unix.SIOCSIFFLAGS, address(&s.refs, request)).load = fd
	s.closeSlot("socket", fd)
}

// atFDCWD is AT_FDCWD as a register holds it.
const atFDCWD = ^uintptr(-unix.AT_FDCWD - 1)
