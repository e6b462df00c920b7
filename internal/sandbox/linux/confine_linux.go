package linux

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox"
)

// maxLocked is how much memory a process in a sandbox may lock.
const maxLocked = 8 << 20

// oomScore makes the kernel take a sandbox's processes before the host's when
// the whole machine runs out of memory.
const oomScore = "500"

// rlimits returns the resource limits of a sandbox's processes by resource.
func rlimits(spec *sandbox.Spec) map[int]uint64 {
	return map[int]uint64{
		unix.RLIMIT_CORE:    0,
		unix.RLIMIT_MEMLOCK: maxLocked,
		unix.RLIMIT_NOFILE:  uint64(spec.OpenFiles),
		unix.RLIMIT_NPROC:   uint64(spec.PIDs),
		unix.RLIMIT_RTPRIO:  0,
		unix.RLIMIT_NICE:    0,
	}
}

// limit lowers the process's resource limits. A limit that the node itself has
// lower stays: raising one takes a capability that a container may lack.
func limit(s *script, spec *sandbox.Spec) error {
	for resource, want := range rlimits(spec) {
		var now unix.Rlimit
		if err := unix.Getrlimit(resource, &now); err != nil {
			return fmt.Errorf("read resource limit %d: %w", resource, err)
		}
		v := min(want, now.Max)
		s.on("limit resource", strconv.Itoa(resource), unix.SYS_PRLIMIT64, 0, uintptr(resource),
			address(&s.refs, &unix.Rlimit{Cur: v, Max: v}), 0)
	}
	return nil
}

// files gives the process its descriptors 0, 1, 2, ... and closes all others.
func files(s *script, list []*os.File) {
	top := uintptr(len(list))
	for _, f := range list {
		top = max(top, f.Fd()+1)
	}
	// First out of the way of the final numbers, which may be sources too.
	for i, f := range list {
		s.do("keep a descriptor", unix.SYS_DUP3, f.Fd(), top+uintptr(i), unix.O_CLOEXEC)
	}
	for i := range list {
		s.do("place a descriptor", unix.SYS_DUP3, top+uintptr(i), uintptr(i), 0)
	}
	s.do("close the other descriptors", unix.SYS_CLOSE_RANGE, uintptr(len(list)), uintptr(^uint32(0)), 0)
}

// dropCapabilities makes sure that no capability ever comes back.
func dropCapabilities(s *script, lastCap int) {
	for c := range lastCap + 1 {
		s.prctl("drop a capability", unix.PR_CAPBSET_DROP, uintptr(c))
	}
	s.prctl("clear the ambient capabilities", unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}

// become changes the process's user and group.
func become(s *script, id identity) {
	uid, gid := uintptr(id.uid), uintptr(id.gid)
	s.do("leave all groups", unix.SYS_SETGROUPS, 0, 0)
	s.do("set the group id", unix.SYS_SETRESGID, gid, gid, gid)
	s.do("set the user id", unix.SYS_SETRESUID, uid, uid, uid)
}

// dropRights takes every privilege from the process for good.
func dropRights(s *script) {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	s.do("drop all capabilities", unix.SYS_CAPSET, address(&s.refs, header), address(&s.refs, &[2]unix.CapUserData{}))
	// After the change of user, which clears it.
	s.prctl("end with the node", unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL))
	s.prctl("renounce new privileges", unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// seal puts the process under the filter. What follows must pass it.
func seal(s *script, filter []unix.SockFilter) {
	prog := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	s.do("install the system call filter", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, address(&s.refs, prog))
}

// execute replaces the process by the command.
func execute(s *script, cmd *sandbox.Command) {
	s.on("execute", cmd.Path, unix.SYS_EXECVE, s.refs.cstring(cmd.Path), s.refs.cstringArray(cmd.Args), s.refs.cstringArray(cmd.Env))
}

// lastCapability returns the number of the kernel's last capability.
func lastCapability() (int, error) {
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return 0, fmt.Errorf("read the last capability: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read the last capability: %w", err)
	}
	return n, nil
}
