package ptrace

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The reasons of a change that the kernel gives for a process.
const (
	childTrapped = 4 // CLD_TRAPPED
	childStopped = 5 // CLD_STOPPED
)

// childInfo is the kernel's siginfo_t as waitid fills it.
type childInfo struct {
	signo, errno, code, _ int32
	pid, uid, status      int32
}

// awaitChange waits for a change of a process. With WNOHANG code is 0 if there is
// none.
func awaitChange(pid, options int) (code, status int, err error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, options|unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, 0, fmt.Errorf("wait for process %d: %w", pid, err)
		}
		c := (*childInfo)(unsafe.Pointer(&info)) //nolint:gosec // the same structure, of which x/sys names the beginning alone
		return int(c.code), int(c.status), nil
	}
}

// detach is PTRACE_DETACH with a signal to deliver, which x/sys does not offer.
func detach(pid, signal int) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid), 0, uintptr(signal), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// syscallInfo is the kernel's struct ptrace_syscall_info: of an entry its number
// and arguments, of an exit the result.
type syscallInfo struct {
	op   uint8
	_    [3]uint8
	arch uint32
	_    [2]uint64 // instruction and stack pointer
	nr   uint64    // at an exit: the result
	args [6]uint64
}

func (t *tracee) syscallInfo() (syscallInfo, error) {
	var info syscallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(t.pid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0) //nolint:gosec // system calls take addresses
	if errno != 0 {
		return info, fmt.Errorf("read a call of process %d: %w", t.pid, errno)
	}
	return info, nil
}

// entering returns the call that the process enters; it is none's number at the
// end of one.
func (t *tracee) entering() (nr uintptr, flags uint64, err error) {
	info, err := t.syscallInfo()
	if err != nil || info.op != unix.PTRACE_SYSCALL_INFO_ENTRY {
		return ^uintptr(0), 0, err
	}
	return uintptr(info.nr), info.args[0], nil
}

// failure returns the error of the call that the process leaves.
func (t *tracee) failure() error {
	info, err := t.syscallInfo()
	if err != nil {
		return err
	}
	return fmt.Errorf("copy process %d: %w", t.pid, unix.Errno(-info.nr))
}
