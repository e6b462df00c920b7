package linux

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// allowed are the system calls that a sandbox may make with any arguments: what
// Docker's default profile allows without capabilities, less what reads other
// processes (ptrace, process_vm_readv, kcmp), what functions have no use for
// (modify_ldt, syslog, name_to_handle_at) and chroot. Names that an architecture
// doesn't have are passed over.
const allowed = `
accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres
clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group
faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue
futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64
getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_setup io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr
lstat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock
mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap
mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2
pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64
preadv preadv2 prlimit64 process_mrelease pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat
readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir
rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list
set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown
sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink symlinkat sync sync_file_range
syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime
utimensat utimes vfork vmsplice wait4 waitid write writev`

// absent are the calls that programs try first and do without if the kernel
// does not know them. glibc falls back from clone3, whose flags a filter can't
// see, to clone.
const absent = `clone3 io_uring_setup io_uring_enter io_uring_register`

// Socket families and personalities that are allowed.
var (
	families      = []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6}
	personalities = []uint32{0, 0x0008, 0x20000, 0x20008, 0xffffffff}
)

// newNamespaces are clone's flags for new namespaces.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME

// Offsets in the kernel's struct seccomp_data.
const (
	dataNr   = 0
	dataArch = 4
	dataArgs = 16
)

var (
	retAllow  = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	retDeny   = bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	retAbsent = bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)}

	allow   = []bpf.Instruction{retAllow}
	deny    = []bpf.Instruction{retDeny}
	unknown = []bpf.Instruction{retAbsent}
)

// filter assembles the seccomp filter of sandboxes for this architecture. Calls
// that it knows and does not allow fail with EPERM; the calls of kernels to
// come, and of other architectures that this one emulates, with ENOSYS.
func filter() ([]unix.SockFilter, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	blocks := map[string][]bpf.Instruction{
		"clone":       withoutBits(newNamespaces),
		"personality": oneOf(0, personalities),
		"socket":      socketFamilies(),
	}
	for name := range strings.FieldsSeq(allowed) {
		blocks[name] = allow
	}
	for name := range strings.FieldsSeq(absent) {
		blocks[name] = unknown
	}
	prog := []bpf.Instruction{
		bpf.LoadAbsolute{Off: dataArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		retAbsent,
		bpf.LoadAbsolute{Off: dataNr, Size: 4},
	}
	return assemble(append(prog, search(ranges(info, blocks))...))
}

// numbers is a run of call numbers, from first to before the next run's, that
// one block, which must return, answers.
type numbers struct {
	first uint32
	block []bpf.Instruction
}

// ranges returns the runs of all numbers, in order. Calls without a block are
// denied if the architecture knows them.
func ranges(info *arch.Info, blocks map[string][]bpf.Instruction) []numbers {
	var runs []numbers
	add := func(nr int, block []bpf.Instruction) {
		if n := len(runs); n == 0 || !slices.Equal(runs[n-1].block, block) {
			runs = append(runs, numbers{uint32(nr), block})
		}
	}
	next := 0
	for _, nr := range slices.Sorted(maps.Keys(info.SyscallNumbers)) {
		if nr > next {
			add(next, unknown)
		}
		block, ok := blocks[info.SyscallNumbers[nr]]
		if !ok {
			block = deny
		}
		add(nr, block)
		next = nr + 1
	}
	add(next, unknown)
	return runs
}

// search finds the block for the call's number by halving. The kernel runs the
// filter for every call number once when it is installed, so a search along a
// list would cost each start of a sandbox half a millisecond.
func search(runs []numbers) []bpf.Instruction {
	if len(runs) == 1 {
		return runs[0].block
	}
	middle := len(runs) / 2
	below, above := search(runs[:middle]), search(runs[middle:])
	prog := []bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: runs[middle].first, SkipFalse: 1},
		bpf.Jump{Skip: uint32(len(below))}, // a conditional jump reaches only 255 instructions
	}
	return slices.Concat(prog, below, above)
}

// withoutBits allows the call if its first argument has none of bits.
func withoutBits(bits uint32) []bpf.Instruction {
	return []bpf.Instruction{
		argument(0),
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: bits, SkipTrue: 1},
		retAllow, retDeny,
	}
}

// oneOf allows the call if the lower half of its argument i, which is all that
// the kernel reads of an int, is one of values.
func oneOf(i int, values []uint32) []bpf.Instruction {
	block := []bpf.Instruction{argument(i)}
	for _, v := range values {
		block = append(block, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipFalse: 1}, retAllow)
	}
	return append(block, retDeny)
}

// socketFamilies allows the families, and of netlink only its routing protocol,
// which lists the network interfaces.
func socketFamilies() []bpf.Instruction {
	block := oneOf(0, families)
	return append(block[:len(block)-1],
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_NETLINK, SkipFalse: 3},
		argument(2),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.NETLINK_ROUTE, SkipFalse: 1},
		retAllow, retDeny,
	)
}

// argument loads the lower half of the call's argument i.
func argument(i int) bpf.Instruction {
	return bpf.LoadAbsolute{Off: uint32(dataArgs + 8*i), Size: 4}
}

func assemble(prog []bpf.Instruction) ([]unix.SockFilter, error) {
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	out := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		out[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return out, nil
}
