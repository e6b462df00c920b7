package ptrace

import "golang.org/x/sys/unix"

// disarming starts a session, drops the capabilities down from the one in RSI from
// the bounding set, and then all by capset with what R12 and R13 point to.
var disarming = []byte{
	0xb8, 0x70, 0, 0, 0, // MOVL $SYS_setsid, AX
	0x0f, 0x05, // SYSCALL
	0xb8, 0x9d, 0, 0, 0, // loop: MOVL $SYS_prctl, AX
	0x0f, 0x05, // SYSCALL
	0x48, 0xff, 0xce, // DECQ SI
	0x79, 0xf4, // JPL loop
	0xb8, 0x7e, 0, 0, 0, // MOVL $SYS_capset, AX
	0x4c, 0x89, 0xe7, // MOVQ R12, DI
	0x4c, 0x89, 0xee, // MOVQ R13, SI
	0x0f, 0x05, // SYSCALL
	0xcc, // INT $3
}

func (r *registers) disarm(lastCapability int, header, data uintptr) {
	r.Rdi, r.Rsi = unix.PR_CAPBSET_DROP, uint64(lastCapability)
	r.R12, r.R13 = uint64(header), uint64(data)
	r.Orig_rax = ^uint64(0) // the end of no call, which might be restarted
}

// isFork reports whether a call makes a process with memory of its own, as fork
// does: by clone, or with musl by the old call fork.
func isFork(nr uintptr, flags uint64) bool {
	return nr == unix.SYS_FORK || nr == unix.SYS_CLONE && flags&(unix.CLONE_VM|unix.CLONE_THREAD) == 0
}

// forkInto has a call of fork, which is about to be made, make new namespaces.
func (r *registers) forkInto(namespaces uint64) {
	if r.Orig_rax == unix.SYS_FORK {
		r.Orig_rax, r.Rdi = unix.SYS_CLONE, uint64(unix.SIGCHLD)
		r.Rsi, r.Rdx, r.R10, r.R8 = 0, 0, 0, 0
	}
	r.Rdi |= namespaces
}

// returned puts back what forkInto has changed, which a system call preserves.
func (r *registers) returned(own *registers) {
	r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8 = own.Rdi, own.Rsi, own.Rdx, own.R10, own.R8
	r.Orig_rax = own.Orig_rax
}

func (r *registers) instruction() uintptr { return uintptr(r.Rip) }
func (r *registers) stack() uintptr       { return uintptr(r.Rsp) }
