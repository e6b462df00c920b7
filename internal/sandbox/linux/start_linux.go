package linux

import (
	"context"
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
)

// The namespaces that a sandbox's first process is made in. Its network
// namespace is there before, and entered.
const sandboxNamespaces = unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// script writes the script that starts cmd in the sandbox. release frees what
// only the script needs.
func (s *Sandbox) script(cmd *sandbox.Command) (sc *script, how process, release func(), err error) {
	sc, how = newScript(), process{flags: sandboxNamespaces}
	var undo cleanup
	defer func() {
		if err != nil {
			undo.run()
		}
	}()
	leave, err := s.group.join(sc, &how)
	if err != nil {
		return nil, process{}, nil, err
	}
	undo.add(leave)
	if s.driver.privileged {
		err = s.intoPreparedRoot(sc, &undo)
	} else {
		err = s.intoUserNamespace(sc, &how)
	}
	if err != nil {
		return nil, process{}, nil, err
	}
	name := sc.refs.cstring(s.spec.ID)
	sc.do("set the host name", unix.SYS_SETHOSTNAME, name, uintptr(len(s.spec.ID)))
	return sc, how, undo.run, s.confine(sc, cmd)
}

// renewDisk replaces the disk if an earlier start, which failed, has mounted it:
// a mount goes into one tree, and with that tree it ended.
func (s *Sandbox) renewDisk(ctx context.Context) error {
	if s.disk == nil || s.disk.Claim() {
		return nil
	}
	fresh, err := s.driver.cfg.Scratch.Acquire(ctx, s.spec.TmpBytes)
	if err != nil {
		return err
	}
	fresh.Claim()
	old := s.disk
	s.disk = fresh
	return old.Close()
}

// cleanup is what has to be undone, last first.
type cleanup []func()

func (c *cleanup) add(f func()) { *c = append(*c, f) }

func (c *cleanup) run() {
	for _, f := range slices.Backward(*c) {
		f()
	}
	*c = nil
}

// intoPreparedRoot makes the script's process enter the sandbox's namespaces
// and root, as root can.
func (s *Sandbox) intoPreparedRoot(sc *script, undo *cleanup) error {
	d := s.driver
	ns, err := d.roots.take()
	if err != nil {
		return err
	}
	if s.bound {
		undo.add(func() { _ = ns.close() })
	} else {
		s.dropRoot() // of an earlier start, which failed
		s.root = ns
	}
	begin(sc)
	sc.do("enter the network namespace", unix.SYS_SETNS, uintptr(s.ns.FD()), unix.CLONE_NEWNET)
	leave, err := d.layout.complete(sc, ns, &ownRoot{&s.spec, s.disk, s.identity(), s.ns.ResolvConf()})
	if err != nil {
		return err
	}
	undo.add(leave)
	return nil
}

// intoUserNamespace does the same without root: in the sandbox's user namespace,
// which the script enters first. All other namespaces belong to it, so they are
// made from inside, by a second process: only one that is new can be in a new
// pid namespace. It is made as how says, which then says how the first is.
func (s *Sandbox) intoUserNamespace(sc *script, how *process) error {
	if ns, ok := s.ns.(*namespace); ok {
		sc.do("enter the user namespace", unix.SYS_SETNS, *ns.user, unix.CLONE_NEWUSER)
	}
	sc.do("enter the network namespace", unix.SYS_SETNS, uintptr(s.ns.FD()), unix.CLONE_NEWNET)
	how.flags |= unix.CLONE_NEWNS
	sc.fork(*how)
	*how = process{}
	begin(sc)
	return s.driver.layout.build(sc, &ownRoot{&s.spec, s.disk, s.identity(), s.ns.ResolvConf()})
}

// identity says who the sandbox's processes are.
func (s *Sandbox) identity() identity {
	if s.driver.privileged {
		return identity{uid: s.uid, gid: s.uid}
	}
	return identity{uid: innerID, gid: innerID}
}

// begin sets what a new process inherits from us.
func begin(sc *script) {
	sc.do("start a session", unix.SYS_SETSID)
	sc.do("unblock signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, address(&sc.refs, new(uint64)), 0, 8)
	sc.writeFile("/proc/self/oom_score_adj", oomScore, 0)
}

// confine takes the process's rights and makes it execute cmd.
func (s *Sandbox) confine(sc *script, cmd *sandbox.Command) error {
	dir := cmd.Dir
	if dir == "" {
		dir = "/"
	}
	sc.on("enter the working directory", dir, unix.SYS_CHDIR, sc.refs.cstring(dir))
	sc.do("set the umask", unix.SYS_UMASK, 0o022)
	files(sc, s.driver.stdio(cmd))
	// Not before: the limit on open files would hold for ours, which are higher.
	if err := limit(sc, &s.spec); err != nil {
		return err
	}
	sc.include(s.driver.noCapabilities)
	if s.driver.privileged {
		become(sc, s.identity())
	}
	dropRights(sc)
	seal(sc, s.driver.filter)
	execute(sc, cmd)
	return nil
}

// stdio returns the files of the command by descriptor.
func (d *Driver) stdio(cmd *sandbox.Command) []*os.File {
	list := []*os.File{d.devNull, cmd.Stdout, cmd.Stderr}
	for i, f := range list {
		if f == nil {
			list[i] = d.devNull
		}
	}
	return append(list, cmd.Files...)
}

// probeSpec is what a probe is made of.
var probeSpec = sandbox.Spec{ID: "probe", TmpBytes: 1 << 20, PIDs: 1, OpenFiles: 64}

// probe makes a namespace and a root once, to find out at start whether this
// machine lets us, and to say so. It needs no spawner.
func (d *Driver) probe() error {
	ns, err := (&loopbackOnly{userNS: !d.privileged}).acquire()
	if err != nil {
		return d.unsupported(err)
	}
	defer func() { _ = ns.Release() }()
	s := &Sandbox{driver: d, ns: ns, group: noCgroup{}, uid: d.cfg.FirstUID, spec: probeSpec, bound: true}
	sc, how, release, err := s.script(&sandbox.Command{Path: "/proc/self/cwd/does-not-exist"})
	if err != nil {
		return err
	}
	defer release()
	_, err = sc.start(how)
	if failed := (*scriptError)(nil); errors.As(err, &failed) && failed.last {
		return nil // everything but the program, which is not there
	}
	return d.unsupported(err)
}

func (d *Driver) unsupported(err error) error {
	if d.privileged {
		return fault.Wrap(err, fault.Unsupported, "SandboxUnsupported",
			"this machine refuses to make sandboxes (%v): it takes Linux 5.14 or newer, and a container needs the right to mount and to make namespaces", err)
	}
	return fault.Wrap(err, fault.Unsupported, "SandboxUnsupported",
		"this machine refuses to make sandboxes without root (%v): run the node as root, or allow user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)", err)
}
