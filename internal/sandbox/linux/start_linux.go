package linux

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
)

// newSandboxFlags are the namespaces that a sandbox's first process is made in.
// Its network namespace is there before, and entered.
const newSandboxFlags = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// script writes the script that starts cmd in the sandbox. release frees what
// only the script needs.
func (s *Sandbox) script(cmd *sandbox.Command) (sc *script, how process, release func(), err error) {
	d := s.driver
	sc = new(script)
	how = process{flags: newSandboxFlags}
	if release, err = s.group.join(sc, &how); err != nil {
		return nil, process{}, nil, err
	}
	id := identity{uid: innerID, gid: innerID}
	become := (*identity)(nil)
	if d.privileged {
		id = identity{uid: s.uid, gid: s.uid}
		become = &id
		sc.do("enter the network namespace", unix.SYS_SETNS, uintptr(s.ns.FD()), unix.CLONE_NEWNET)
	} else {
		s.enterUserNamespace(sc, how)
		how = process{}
	}
	sc.do("start a session", unix.SYS_SETSID)
	sc.do("unblock signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, address(&sc.refs, new(uint64)), 0, 8)
	sc.writeFile("/proc/self/oom_score_adj", oomScore, 0)
	if err := d.layout.build(sc, &s.spec, id, s.ns.ResolvConf()); err != nil {
		release()
		return nil, process{}, nil, err
	}
	name := sc.refs.cstring(s.spec.ID)
	sc.do("set the host name", unix.SYS_SETHOSTNAME, name, uintptr(len(s.spec.ID)))
	if err := s.finishScript(sc, cmd, become); err != nil {
		release()
		return nil, process{}, nil, err
	}
	return sc, how, release, nil
}

// enterUserNamespace makes the script enter the sandbox's user namespace first.
// The new namespaces belong to it, so they are made from inside, by a second
// process: only one that is new can be in a new pid namespace.
func (s *Sandbox) enterUserNamespace(sc *script, how process) {
	if ns, ok := s.ns.(*namespace); ok {
		sc.do("enter the user namespace", unix.SYS_SETNS, *ns.user, unix.CLONE_NEWUSER)
	}
	sc.do("enter the network namespace", unix.SYS_SETNS, uintptr(s.ns.FD()), unix.CLONE_NEWNET)
	sc.fork(how)
}

// finishScript confines the process and executes cmd.
func (s *Sandbox) finishScript(sc *script, cmd *sandbox.Command, become *identity) error {
	if err := limit(sc, &s.spec); err != nil {
		return err
	}
	dir := cmd.Dir
	if dir == "" {
		dir = "/"
	}
	sc.do("enter the working directory "+dir, unix.SYS_CHDIR, sc.refs.cstring(dir))
	sc.do("set the umask", unix.SYS_UMASK, 0o022)
	files(sc, s.driver.stdio(cmd))
	dropRights(sc, s.driver.lastCap, become)
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
// machine lets us, and to say so.
func (d *Driver) probe() error {
	ns, err := loopbackOnly{userNS: !d.privileged}.acquire()
	if err != nil {
		return d.unsupported(err)
	}
	defer func() { _ = ns.Release() }()
	s := &Sandbox{driver: d, ns: ns, group: noCgroup{}, uid: d.cfg.FirstUID, spec: probeSpec}
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
