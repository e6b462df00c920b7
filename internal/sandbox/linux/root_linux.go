package linux

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux/scratch"
)

// Mount attributes. Nothing in a sandbox is setuid or a device except what /dev
// says.
const (
	readOnly = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	plain    = unix.MS_NOSUID | unix.MS_NODEV
)

// Sizes of the sandbox's own small file systems.
const (
	rootOptions = "mode=755,size=4m,nr_inodes=8192"
	shmOptions  = "mode=1777,size=64m"
)

// identity is who a sandbox's processes are, inside.
type identity struct{ uid, gid int }

// buildFixed makes what all roots have in common.
func (l *layout) buildFixed(s *script, made *tree) {
	s.mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	s.mount("tmpfs", l.mountpoint, "tmpfs", plain, rootOptions)
	s.do("enter "+l.mountpoint, unix.SYS_CHDIR, s.refs.cstring(l.mountpoint))
	s.do("set the umask", unix.SYS_UMASK, 0)
	// A program's dynamic linker notes for good which directories of libraries
	// are not there: in a sandbox that is bound later, these come later.
	made.dir("var/task/lib")
	made.dir("opt/lib")
	made.dir("sys")
	l.system(s, made)
	l.etc(s, made)
	made.dir("proc")
	made.dir("tmp")
	s.symlink("/tmp", "var/tmp")
}

// prepare makes a mount namespace whose root is complete but for what differs
// between sandboxes, with nothing of the host's left in it.
func (l *layout) prepare() (*mountNS, error) {
	s, ns := newScript(), &mountNS{fd: newSlot()}
	s.include(l.fixed)
	// While the host's /proc is there.
	s.on("open", "/proc/self/ns/mnt", unix.SYS_OPENAT, atFDCWD, s.refs.cstring("/proc/self/ns/mnt"),
		unix.O_RDONLY|unix.O_CLOEXEC, 0).save = ns.fd
	s.include(l.pivot)
	// The process shares our table of descriptors, so that the namespace stays.
	if err := s.finish(process{flags: unix.CLONE_FILES | unix.CLONE_NEWNS}); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare a root: %w", err), ns.close())
	}
	return ns, nil
}

// mountNS is a mount namespace that no process need be in.
type mountNS struct{ fd slot }

func (ns *mountNS) close() error { return closeFD(ns.fd) }

// complete makes the rest of the root of a prepared mount namespace, which it
// enters, in the pid namespace that /proc is to show. release closes what only
// the script needs.
func (l *layout) complete(s *script, ns *mountNS, own *ownRoot) (release func(), err error) {
	s.do("enter the mount namespace", unix.SYS_SETNS, *ns.fd, unix.CLONE_NEWNS)
	s.include(l.proc)
	own.files(s)
	t := &tree{s: s, made: maps.Clone(l.made)}
	release, err = t.attach(own.spec.Mounts)
	if err != nil {
		return nil, err
	}
	freeze(s)
	return release, nil
}

// build makes the whole root in a mount namespace of the script's process.
func (l *layout) build(s *script, own *ownRoot) error {
	s.include(l.fixed)
	s.include(l.proc)
	own.files(s)
	t := &tree{s: s, made: maps.Clone(l.made)}
	for _, m := range own.spec.Mounts {
		if err := t.point(m); err != nil {
			return err
		}
		s.bind(m.Source, inRoot(m.Target), readOnly)
	}
	s.include(l.pivot)
	freeze(s)
	return nil
}

// ownRoot is what the root of one sandbox has for itself.
type ownRoot struct {
	spec       *sandbox.Spec
	tmp        *scratch.Disk // nil: /tmp is in memory
	id         identity
	resolvConf []byte
}

// files writes the files that are not the host's, and mounts /tmp.
func (o *ownRoot) files(s *script) {
	s.writeFile("etc/passwd", fmt.Sprintf("root:x:0:0:root:/:/bin/false\nsbx_user:x:%d:%d::/tmp:/bin/sh\n", o.id.uid, o.id.gid), 0o444)
	s.writeFile("etc/group", fmt.Sprintf("root:x:0:\nsbx_user:x:%d:\n", o.id.gid), 0o444)
	s.writeFile("etc/hosts", "127.0.0.1 localhost\n", 0o444)
	s.writeFile("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n", 0o444)
	s.writeFile("etc/resolv.conf", string(o.resolvConf), 0o444)
	if !o.spec.Unbound {
		mountTmp(s, o.tmp, o.spec.TmpBytes)
	}
}

// mountTmp mounts a disk at /tmp, or without one as many bytes of memory.
func mountTmp(s *script, disk *scratch.Disk, size int64) {
	if disk == nil {
		s.mount("tmpfs", "tmp", "tmpfs", plain, "mode=1777,size="+strconv.FormatInt(size, 10))
		return
	}
	s.on("mount", "tmp", unix.SYS_MOVE_MOUNT, uintptr(disk.FD()), s.refs.cstring(""), atFDCWD, s.refs.cstring("tmp"), unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// system binds the host's programs and libraries, and makes /dev.
func (l *layout) system(s *script, made *tree) {
	for _, name := range l.dirs {
		made.dir(name)
		s.bind("/"+name, name, readOnly)
	}
	for _, name := range l.devices {
		made.file(name)
		s.bind("/"+name, name, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC)
	}
	made.dir("dev/shm")
	s.mount("tmpfs", "dev/shm", "tmpfs", plain|unix.MS_NOEXEC, shmOptions)
	s.symlink("/proc/self/fd", "dev/fd")
	for i, name := range []string{"dev/stdin", "dev/stdout", "dev/stderr"} {
		s.symlink("/proc/self/fd/"+strconv.Itoa(i), name)
	}
}

// etc binds the few files of the host that programs look up.
func (l *layout) etc(s *script, made *tree) {
	made.dir("etc")
	for _, name := range l.files {
		made.file(name)
		s.bind("/"+name, name, readOnly)
	}
	for name, target := range l.links {
		made.dir(path.Dir(name))
		s.symlink(target, name)
	}
}

// maskProc hides what /proc tells of the host.
func (l *layout) maskProc(s *script) {
	for _, name := range l.maskedFiles {
		s.on("mask", name, unix.SYS_MOUNT, s.refs.cstring("dev/null"), s.refs.cstring(name), 0, unix.MS_BIND, 0)
	}
	for _, name := range l.maskedDirs {
		s.on("mask", name, unix.SYS_MOUNT, s.refs.cstring("sys"), s.refs.cstring(name), 0, unix.MS_BIND, 0)
		s.restrict(name, readOnly)
	}
	for _, name := range l.frozenDirs {
		s.bind(name, name, readOnly)
	}
}

// enter makes the working directory the root and lets go of the host's.
func (l *layout) enter(s *script) {
	here := s.refs.cstring(".")
	s.do("pivot into the root", unix.SYS_PIVOT_ROOT, here, here)
	s.do("let go of the host's root", unix.SYS_UMOUNT2, here, unix.MNT_DETACH)
	s.do("enter the root", unix.SYS_CHDIR, s.refs.cstring("/"))
}

// freeze makes the root read-only.
func freeze(s *script) {
	attr := &unix.MountAttr{Attr_set: readOnly}
	s.do("make the root read-only", unix.SYS_MOUNT_SETATTR, atFDCWD, s.refs.cstring("/"), 0,
		address(&s.refs, attr), mountAttrSize)
}

// openRoot makes a writable copy of the root's mount the working directory. The
// root itself stays read-only for all that is inside, and could not be made so
// again while anybody reads in it: that sets times of access, which is writing.
func openRoot(s *script) {
	root, attr := newSlot(), &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	s.do("copy the root's mount", unix.SYS_OPEN_TREE, atFDCWD, s.refs.cstring("/"), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC).save = root
	s.do("make the copy writable", unix.SYS_MOUNT_SETATTR, 0, s.refs.cstring(""), unix.AT_EMPTY_PATH,
		address(&s.refs, attr), mountAttrSize).load = root
	s.do("enter the copy", unix.SYS_FCHDIR).load = root
}

// tree makes directories and files below the root, parents first and each once.
type tree struct {
	s    *script
	made map[string]bool
}

func (t *tree) dir(name string) {
	if t.made[name] {
		return
	}
	t.made[name] = true
	t.dir(path.Dir(name))
	t.s.ensureDir(name)
}

func (t *tree) file(name string) {
	t.dir(path.Dir(name))
	t.s.ensureFile(name)
}

// point makes the mount point of m. Inside another mount it must exist, since
// that is read-only.
func (t *tree) point(m sandbox.Mount) error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return fmt.Errorf("mount at %s: %w", m.Target, err)
	}
	if info.IsDir() {
		t.dir(inRoot(m.Target))
	} else {
		t.file(inRoot(m.Target))
	}
	return nil
}

// lacks reports whether a root has no mount point for one of the mounts.
func (l *layout) lacks(mounts []sandbox.Mount) bool {
	return slices.ContainsFunc(mounts, func(m sandbox.Mount) bool { return !l.made[inRoot(m.Target)] })
}

// inRoot returns a path of the sandbox relative to its root.
func inRoot(target string) string { return strings.TrimPrefix(target, "/") }

// attach mounts copies of what the host has at the sources, made in our own mount
// namespace: from inside the sandbox's they can't be reached any more. The mount
// points are made in the working directory.
func (t *tree) attach(mounts []sandbox.Mount) (release func(), err error) {
	var fds []int
	release = func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
	for _, m := range mounts {
		fd, err := copyTree(m.Source)
		if err == nil {
			fds = append(fds, fd)
			err = t.point(m)
		}
		if err != nil {
			release()
			return nil, fmt.Errorf("mount at %s: %w", m.Target, err)
		}
		t.s.on("mount", m.Target, unix.SYS_MOVE_MOUNT, uintptr(fd), t.s.refs.cstring(""), atFDCWD,
			t.s.refs.cstring(m.Target), unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	return release, nil
}

// copyTree returns a read-only copy of the mounts at and below source, mounted
// nowhere.
func copyTree(source string) (fd int, err error) {
	fd, err = unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, err
	}
	attr := &unix.MountAttr{Attr_set: readOnly}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, attr); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}
