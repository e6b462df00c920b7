package linux

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// op is one system call of a script. The assembly knows its layout.
type op struct {
	nr   uintptr
	args [6]uintptr
	// load, if set, replaces the first argument with what it points to when the
	// call is made: a descriptor that an earlier op saved.
	load *uintptr
	// save, if set, receives the result.
	save *uintptr
	mode uintptr
}

// The modes of an op.
const (
	must uintptr = 0 // an error ends the script
	may  uintptr = 1 // an error is passed over
	fork uintptr = 2 // a clone3: the child goes on with the script, the caller is done
)

// report is what a script leaves behind: the 1-based index of the op that
// failed, or 0, and its errno.
type report struct{ failed, errno uintptr }

// cloneArgs is the kernel's struct clone_args.
type cloneArgs struct {
	flags      uint64
	_          [2]uint64 // pidfd, child_tid
	parentTID  uint64
	exitSignal uint64
	_          [5]uint64 // stack, stack_size, tls, set_tid, set_tid_size
	cgroup     uint64
}

// spawn makes a process by clone3 and returns its id, or a negative errno. The
// process makes the n calls at ops and exits with 0; at the first that fails it
// writes rep and exits with 1. args must ask for CLONE_VM and CLONE_VFORK: the
// caller's thread is suspended until the process executes a program or ends.
//
//go:noescape
func spawn(args *cloneArgs, size uintptr, ops *op, n uintptr, rep *report) (pid uintptr)

// referents keeps alive what the addresses in a script point to. The heap does
// not move, so an address stays good while its referent lives.
type referents struct {
	values []any
	// cstrings are the strings used so far: most paths are used more than once.
	cstrings map[string]uintptr
}

// cstring returns the address of v with a final NUL.
func (r *referents) cstring(v string) uintptr {
	if at, ok := r.cstrings[v]; ok {
		return at
	}
	b := make([]byte, len(v)+1)
	copy(b, v)
	at := r.bytes(b)
	if r.cstrings == nil {
		r.cstrings = make(map[string]uintptr)
	}
	r.cstrings[v] = at
	return at
}

// bytes returns the address of b's first byte; b must not be empty.
func (r *referents) bytes(b []byte) uintptr {
	r.values = append(r.values, b)
	return uintptr(unsafe.Pointer(unsafe.SliceData(b))) //nolint:gosec // system calls take addresses
}

// cstringArray returns the address of a NULL-terminated array of strings.
func (r *referents) cstringArray(list []string) uintptr {
	array := make([]uintptr, len(list)+1)
	for i, v := range list {
		array[i] = r.cstring(v)
	}
	r.values = append(r.values, array)
	return uintptr(unsafe.Pointer(unsafe.SliceData(array))) //nolint:gosec // system calls take addresses
}

// address returns the address of *v, which must be on the heap: every caller
// hands over what it has just made with new or a composite literal.
func address[T any](r *referents, v *T) uintptr {
	r.values = append(r.values, v)
	return uintptr(unsafe.Pointer(v)) //nolint:gosec // system calls take addresses
}

// run makes a process from args that runs ops. It returns the process's id,
// which the caller must reap, and what the process reported.
func run(args *cloneArgs, ops []op, refs *referents) (pid int, rep report, err error) {
	result := new(report)
	ret := spawn(args, cloneArgsSize, unsafe.SliceData(ops), uintptr(len(ops)), result) //nolint:gosec // system calls take addresses
	runtime.KeepAlive(ops)
	runtime.KeepAlive(refs)
	if n := int(ret); n < 0 {
		return 0, report{}, unix.Errno(-n)
	}
	return int(ret), *result, nil
}

// cloneArgsSize is the size of the kernel's struct clone_args as of its cgroup
// member.
const cloneArgsSize = unsafe.Sizeof(cloneArgs{})

// mountAttrSize is the size of the kernel's struct mount_attr.
const mountAttrSize = unsafe.Sizeof(unix.MountAttr{})

// interfaceFlags is the part of the kernel's struct ifreq that SIOCSIFFLAGS
// reads, padded to its whole size.
type interfaceFlags struct {
	name  [unix.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}
