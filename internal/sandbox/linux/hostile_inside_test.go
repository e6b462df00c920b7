//go:build linux

package linux_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

// hostile is what the test binary does inside sandboxes to get out of them.
var hostile = map[string]sandboxtest.Action{
	"attempts": attempts,
	"eat":      eat,
	"threads":  threads,
	"files":    openFiles,
	"connect":  connect,
	"shm":      sharedMemory,
	"node":     node,
}

// attempts tries each name of its arguments and prints how the kernel answered.
func attempts(names []string) error {
	runtime.LockOSThread()
	for _, name := range names {
		kind, arg, _ := strings.Cut(name, " ")
		try, ok := trials[kind]
		if !ok {
			return fmt.Errorf("no trial %q", kind)
		}
		fmt.Fprintf(os.Stdout, "%s: %s\n", name, answer(try(arg)))
	}
	return nil
}

func answer(err error) string {
	if err == nil {
		return "done"
	}
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func call(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

func cloneFlags(flags uintptr) error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return nil
}

func socket(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind, protocol)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

var trials = map[string]func(arg string) error{
	"ptrace":     func(string) error { return call(unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(os.Getppid())) },
	"vm_read":    func(string) error { return call(unix.SYS_PROCESS_VM_READV, 1) },
	"mount":      func(string) error { return unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "") },
	"umount":     func(string) error { return unix.Unmount("/tmp", unix.MNT_DETACH) },
	"remount":    func(string) error { return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "") },
	"fsopen":     func(string) error { return call(unix.SYS_FSOPEN, 0, 0) },
	"open_tree":  func(string) error { return call(unix.SYS_OPEN_TREE, 0, 0, 1) },
	"move_mount": func(string) error { return call(unix.SYS_MOVE_MOUNT) },
	"pivot_root": func(string) error { return unix.PivotRoot("/tmp", "/tmp") },
	"chroot":     func(string) error { return unix.Chroot("/tmp") },
	"unshare":    func(string) error { return unix.Unshare(unix.CLONE_NEWUSER) },
	"unshare_ns": func(string) error { return unix.Unshare(unix.CLONE_NEWNS) },
	"clone_user": func(string) error { return cloneFlags(unix.CLONE_NEWUSER) },
	"clone_net":  func(string) error { return cloneFlags(unix.CLONE_NEWNET) },
	"clone3":     func(string) error { return call(unix.SYS_CLONE3, 0, 0) },
	"setns": func(path string) error {
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Setns(fd, 0)
	},
	"keyctl": func(string) error { _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true); return err },
	"add_key": func(string) error {
		_, err := unix.AddKey("user", "x", []byte("y"), unix.KEY_SPEC_SESSION_KEYRING)
		return err
	},
	"bpf":         func(string) error { return call(unix.SYS_BPF, 0) },
	"perf":        func(string) error { return call(unix.SYS_PERF_EVENT_OPEN, 0) },
	"userfaultfd": func(string) error { return call(unix.SYS_USERFAULTFD, 0) },
	"io_uring":    func(string) error { return call(unix.SYS_IO_URING_SETUP, 1) },
	"kexec":       func(string) error { return call(unix.SYS_KEXEC_LOAD) },
	"module":      func(string) error { return call(unix.SYS_INIT_MODULE) },
	"reboot":      func(string) error { return call(unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1) }, // without the second magic number: no reboot even if allowed
	"swapon":      func(string) error { return call(unix.SYS_SWAPON, 0) },
	"settime":     func(string) error { return call(unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, 0) },
	"sethostname": func(string) error { return unix.Sethostname([]byte("x")) },
	"syslog":      func(string) error { return call(unix.SYS_SYSLOG, 10) },
	"open_by":     func(string) error { return call(unix.SYS_OPEN_BY_HANDLE_AT) },
	"quotactl":    func(string) error { return call(unix.SYS_QUOTACTL) },
	"personality": func(string) error { return call(unix.SYS_PERSONALITY, 0x0400000) },
	"setuid":      func(string) error { return call(unix.SYS_SETRESUID, 0, 0, 0) },
	"setgid":      func(string) error { return call(unix.SYS_SETRESGID, 0, 0, 0) },
	"setgroups":   func(string) error { return call(unix.SYS_SETGROUPS, 1, uintptr(unsafe.Pointer(new(uint32)))) },
	"raw_socket":  func(string) error { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) },
	"packet":      func(string) error { return socket(unix.AF_PACKET, unix.SOCK_RAW, 0) },
	"vsock":       func(string) error { return socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0) },
	"alg":         func(string) error { return socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0) },
	"family0":     func(string) error { return socket(0, unix.SOCK_STREAM, 0) },
	"netfilter":   func(string) error { return socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER) },
	"mknod":       func(string) error { return unix.Mknod("/tmp/mem", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 1))) },
	"mknod_block": func(string) error { return unix.Mknod("/tmp/disk", unix.S_IFBLK|0o666, int(unix.Mkdev(254, 0))) },
	"nofile": func(string) error {
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
	},
	"nice":       func(string) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -5) },
	"kill":       func(pid string) error { return killPID(pid) },
	"read":       func(path string) error { return openFor(path, unix.O_RDONLY) },
	"write":      func(path string) error { return openFor(path, unix.O_WRONLY) },
	"create":     func(path string) error { return openFor(path, unix.O_WRONLY|unix.O_CREAT) },
	"remove":     func(path string) error { return unix.Rmdir(path) },
	"list":       listOthers,
	"suid":       suid,
	"escape":     func(string) error { return escape() },
	"socketpair": func(string) error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
	"route":      func(string) error { return socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE) },
	"fork":       func(string) error { return cloneFlags(0) },
}

func killPID(pid string) error {
	var n int
	if _, err := fmt.Sscan(pid, &n); err != nil {
		return err
	}
	return unix.Kill(n, 0)
}

func openFor(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if flags&unix.O_WRONLY == 0 {
		_, err = unix.Read(fd, make([]byte, 64))
	} else {
		_, err = unix.Write(fd, []byte("0\n"))
	}
	return err
}

// listOthers fails with the first process of /proc that is not ours.
func listOthers(string) error {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		b, err := os.ReadFile(dir + "/cmdline")
		if err == nil && len(b) > 0 && !strings.HasPrefix(string(b), "sandboxtest") {
			return fmt.Errorf("saw %s: %q", dir, b)
		}
	}
	if len(dirs) == 0 {
		return errors.New("saw nothing")
	}
	return nil
}

// suid runs a program that is setuid on the host; it must not become root.
func suid(program string) error {
	if err := unix.Access(program, unix.X_OK); err != nil {
		return err
	}
	if b, _ := os.ReadFile("/proc/self/status"); !strings.Contains(string(b), "NoNewPrivs:\t1") {
		return errors.New("new privileges are possible")
	}
	var st unix.Statfs_t
	if err := unix.Statfs(program, &st); err != nil {
		return err
	}
	if st.Flags&unix.ST_NOSUID == 0 {
		return errors.New("the file system honours setuid")
	}
	return nil
}

// escape walks up from the root by every means that a path gives.
func escape() error {
	for _, path := range []string{"/..", "/proc/self/root/..", "/proc/1/root/..", "/proc/1/cwd/.."} {
		if _, err := os.Stat(filepath.Join(path, "root/.bashrc")); err == nil {
			return fmt.Errorf("%s leads to the host", path)
		}
		if err := unix.Access(path+"/var/task", unix.F_OK); err != nil {
			return fmt.Errorf("%s is not our root: %w", path, err)
		}
	}
	return nil
}

// eat takes memory until the kernel says stop.
func eat([]string) error {
	for hoard := [][]byte{}; ; {
		b := make([]byte, 8<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		hoard = append(hoard, b)
		if len(hoard) > 1<<10 {
			return errors.New("8 GiB and no end")
		}
	}
}

// threads forks until the kernel says stop, and says how far it came.
func threads([]string) error {
	for n := range 10_000 {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			fmt.Fprintf(os.Stdout, "stopped by %s, below 200: %t\n", unix.ErrnoName(errno), n < 200)
			return nil
		}
		if pid == 0 {
			for {
				unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		}
	}
	return errors.New("10000 processes and no end")
}

// openFiles opens files until the kernel says stop.
func openFiles([]string) error {
	for n := range 1 << 20 {
		if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
			fmt.Fprintf(os.Stdout, "%s near 1024: %t\n", answer(err), n > 900 && n <= 1024)
			return nil
		}
	}
	return errors.New("a million files and no end")
}

// connect tries to reach each address.
func connect(addresses []string) error {
	for _, a := range addresses {
		conn, err := net.DialTimeout("tcp", a, time.Second)
		if err == nil {
			conn.Close()
		}
		fmt.Fprintf(os.Stdout, "%s: %s\n", a, answer(err))
	}
	return nil
}

// sharedMemory leaves a segment behind, and fails if there was one.
func sharedMemory([]string) error {
	const key, size = 4711, 4096
	if _, err := unix.SysvShmGet(key, size, 0); answer(err) != "ENOENT" {
		return errors.New("the segment of an earlier sandbox is there: " + answer(err))
	}
	if _, err := unix.SysvShmGet(key, size, unix.IPC_CREAT|0o666); err != nil {
		return err
	}
	if _, err := os.Stat("/dev/shm/left"); err == nil {
		return errors.New("a file of an earlier sandbox is in /dev/shm")
	}
	return os.WriteFile("/dev/shm/left", nil, 0o666)
}
