package linux

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox"
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

// layout is what all sandboxes of a driver see of the host: found once, when the
// driver is made.
type layout struct {
	// mountpoint is an empty directory of the host where each sandbox, in a mount
	// namespace of its own, builds its root.
	mountpoint string
	// links are symbolic links of the root by path; dirs and files are bound.
	links       map[string]string
	dirs, files []string
	devices     []string
	// maskedDirs and maskedFiles are hidden; frozenDirs are read-only.
	maskedDirs, maskedFiles, frozenDirs []string
}

// What is looked for on the host, as paths without the leading slash.
var (
	systemDirs = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"}
	// Certificates, and what the dynamic linker and Debian's alternatives need.
	// Directories that may hold private keys beside certificates are not bound
	// whole.
	etcDirs = []string{
		"etc/ssl/certs", "etc/pki/tls/certs", "etc/pki/ca-trust/extracted", "etc/ca-certificates/extracted",
		"etc/alternatives", "etc/ld.so.conf.d",
	}
	etcFiles = []string{
		"etc/ssl/openssl.cnf", "etc/ssl/cert.pem", "etc/ld.so.cache", "etc/ld.so.conf", "etc/localtime", "etc/mime.types",
		"etc/protocols", "etc/services",
	}
	deviceFiles = []string{"dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom"}
	// What /proc tells of the host beyond the sandbox's own processes and the
	// figures that language runtimes read.
	procMaskedDirs  = []string{"proc/acpi", "proc/asound", "proc/bus", "proc/fs", "proc/irq", "proc/scsi"}
	procMaskedFiles = []string{
		"proc/config.gz", "proc/interrupts", "proc/kallsyms", "proc/kcore", "proc/key-users", "proc/keys", "proc/kmsg",
		"proc/latency_stats", "proc/modules", "proc/sched_debug", "proc/sysrq-trigger", "proc/timer_list", "proc/timer_stats",
	}
	procFrozenDirs = []string{"proc/sys"}
)

// findLayout looks at the host.
func findLayout(mountpoint string) *layout {
	l := &layout{mountpoint: mountpoint, links: make(map[string]string)}
	for _, name := range systemDirs {
		if target, err := os.Readlink("/" + name); err == nil {
			l.links[name] = target
		} else if isDir(name) {
			l.dirs = append(l.dirs, name)
		}
	}
	l.dirs = append(l.dirs, existing(etcDirs, isDir)...)
	for _, name := range existing(etcFiles, isFile) {
		if target, err := os.Readlink("/" + name); err == nil && strings.HasPrefix(target, "/usr/") {
			l.links[name] = target
		} else {
			l.files = append(l.files, name)
		}
	}
	l.devices = existing(deviceFiles, exists)
	l.maskedDirs = existing(procMaskedDirs, isDir)
	l.maskedFiles = existing(procMaskedFiles, exists)
	l.frozenDirs = existing(procFrozenDirs, isDir)
	return l
}

func existing(names []string, is func(string) bool) []string {
	var found []string
	for _, name := range names {
		if is(name) {
			found = append(found, name)
		}
	}
	return found
}

func exists(name string) bool {
	_, err := os.Stat("/" + name)
	return err == nil
}

func isDir(name string) bool {
	info, err := os.Stat("/" + name)
	return err == nil && info.IsDir()
}

func isFile(name string) bool {
	info, err := os.Stat("/" + name)
	return err == nil && info.Mode().IsRegular()
}

// identity is who a sandbox's processes are, inside.
type identity struct{ uid, gid int }

// build makes the sandbox's root and enters it. It must run in a new mount
// namespace, and in the pid namespace that /proc is to show.
func (l *layout) build(s *script, spec *sandbox.Spec, id identity, resolvConf []byte) error {
	s.mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	s.mount("tmpfs", l.mountpoint, "tmpfs", plain, rootOptions)
	s.do("enter "+l.mountpoint, unix.SYS_CHDIR, s.refs.cstring(l.mountpoint))
	s.do("set the umask", unix.SYS_UMASK, 0)
	made := &tree{s: s, made: map[string]bool{".": true}}
	made.dir("var/task")
	made.dir("opt")
	made.dir("sys")
	l.system(s, made)
	l.etc(s, made, spec, id, resolvConf)
	l.proc(s, made)
	made.dir("tmp")
	s.mount("tmpfs", "tmp", "tmpfs", plain, "mode=1777,size="+strconv.FormatInt(spec.TmpBytes, 10))
	s.symlink("/tmp", "var/tmp")
	for _, m := range spec.Mounts {
		if err := made.mount(m); err != nil {
			return err
		}
	}
	l.enter(s)
	return nil
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

// etc writes the few files that programs look up, none of them the host's own
// accounts.
func (l *layout) etc(s *script, made *tree, spec *sandbox.Spec, id identity, resolvConf []byte) {
	made.dir("etc")
	for _, name := range l.files {
		made.file(name)
		s.bind("/"+name, name, readOnly)
	}
	for name, target := range l.links {
		made.dir(path.Dir(name))
		s.symlink(target, name)
	}
	s.writeFile("etc/passwd", fmt.Sprintf("root:x:0:0:root:/:/bin/false\nsbx_user:x:%d:%d::/tmp:/bin/sh\n", id.uid, id.gid), 0o444)
	s.writeFile("etc/group", fmt.Sprintf("root:x:0:\nsbx_user:x:%d:\n", id.gid), 0o444)
	s.writeFile("etc/hosts", "127.0.0.1 localhost "+spec.ID+"\n", 0o444)
	s.writeFile("etc/hostname", spec.ID+"\n", 0o444)
	s.writeFile("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n", 0o444)
	s.writeFile("etc/resolv.conf", string(resolvConf), 0o444)
}

// proc mounts /proc of the sandbox's pid namespace and hides what it tells of
// the host.
func (l *layout) proc(s *script, made *tree) {
	made.dir("proc")
	s.mount("proc", "proc", "proc", plain|unix.MS_NOEXEC, "")
	for _, name := range l.maskedFiles {
		s.do("mask "+name, unix.SYS_MOUNT, s.refs.cstring("dev/null"), s.refs.cstring(name), 0, unix.MS_BIND, 0)
	}
	for _, name := range l.maskedDirs {
		s.do("mask "+name, unix.SYS_MOUNT, s.refs.cstring("sys"), s.refs.cstring(name), 0, unix.MS_BIND, 0)
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
	attr := &unix.MountAttr{Attr_set: readOnly}
	s.do("make the root read-only", unix.SYS_MOUNT_SETATTR, atFDCWD, s.refs.cstring("/"), 0,
		address(&s.refs, attr), mountAttrSize)
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

// mount binds what a spec asks for. A target inside another mount must exist
// there, since that is read-only.
func (t *tree) mount(m sandbox.Mount) error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return fmt.Errorf("mount at %s: %w", m.Target, err)
	}
	name := strings.TrimPrefix(m.Target, "/")
	if info.IsDir() {
		t.dir(name)
	} else {
		t.file(name)
	}
	t.s.bind(m.Source, name, readOnly)
	return nil
}
