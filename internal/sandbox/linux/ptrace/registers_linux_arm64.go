package ptrace

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// disarming starts a session, drops the capabilities down from the one in R1 from
// the bounding set, and then all by capset with what R19 and R20 point to.
var disarming = instructions(
	0xd28013a8, // MOVD $SYS_setsid, R8
	0xd4000001, // SVC
	0xb27d07e0, // loop: MOVD $PR_CAPBSET_DROP, R0
	0xd28014e8, // MOVD $SYS_prctl, R8
	0xd4000001, // SVC
	0xf1000421, // SUBS $1, R1, R1
	0x54ffff85, // BPL loop
	0xaa1303e0, // MOVD R19, R0
	0xaa1403e1, // MOVD R20, R1
	0xd2800b68, // MOVD $SYS_capset, R8
	0xd4000001, // SVC
	0xd4200000, // BRK
)

func instructions(list ...uint32) (code []byte) {
	for _, i := range list {
		code = binary.LittleEndian.AppendUint32(code, i)
	}
	return code
}

func (r *registers) disarm(lastCapability int, header, data uintptr) {
	r.Regs[1], r.Regs[19], r.Regs[20] = uint64(lastCapability), uint64(header), uint64(data)
}

// isFork reports whether a call makes a process with memory of its own, as fork
// does.
func isFork(nr uintptr, flags uint64) bool {
	return nr == unix.SYS_CLONE && flags&(unix.CLONE_VM|unix.CLONE_THREAD) == 0
}

// forkInto has a call of fork, which is about to be made, make new namespaces.
func (r *registers) forkInto(namespaces uint64) { r.Regs[0] |= namespaces }

// returned puts back what forkInto has changed: nothing, since the register of
// the flags is that of the result.
func (*registers) returned(*registers) {}

func (r *registers) instruction() uintptr { return uintptr(r.Pc) }
func (r *registers) stack() uintptr       { return uintptr(r.Sp) }
