#include "textflag.h"

// The layout of an op, in bytes; TestOpLayout compares it with the Go type.
#define OP_NR 0
#define OP_A0 8
#define OP_A1 16
#define OP_A2 24
#define OP_A3 32
#define OP_A4 40
#define OP_A5 48
#define OP_LOAD 56
#define OP_SAVE 64
#define OP_MODE 72
#define OP_SIZE 80

#define SYS_clone3 435
#define SYS_exit_group 231

// func spawn(args *cloneArgs, size uintptr, ops *op, n uintptr, rep *report) (pid uintptr)
//
// The child shares memory and stack with its suspended parent, so it keeps to
// registers: it reads ops and writes slots and the report, nothing else.
TEXT ·spawn(SB), NOSPLIT, $0-48
	MOVQ args+0(FP), DI
	MOVQ size+8(FP), SI
	MOVQ ops+16(FP), R12
	MOVQ n+24(FP), R13
	MOVQ rep+32(FP), R14
	MOVQ $SYS_clone3, AX
	SYSCALL
	TESTQ AX, AX
	JEQ  child
	MOVQ AX, pid+40(FP)
	RET

child:
	XORQ BX, BX

loop:
	CMPQ BX, R13
	JGE  done
	MOVQ OP_A0(R12), DI
	MOVQ OP_LOAD(R12), R15
	TESTQ R15, R15
	JEQ  loaded
	MOVQ (R15), DI

loaded:
	MOVQ OP_A1(R12), SI
	MOVQ OP_A2(R12), DX
	MOVQ OP_A3(R12), R10
	MOVQ OP_A4(R12), R8
	MOVQ OP_A5(R12), R9
	MOVQ OP_NR(R12), AX
	SYSCALL
	MOVQ OP_SAVE(R12), R15
	TESTQ R15, R15
	JEQ  saved
	MOVQ AX, (R15)

saved:
	MOVQ OP_MODE(R12), R15
	CMPQ AX, $0xfffffffffffff001
	JCC  failed
	CMPQ R15, $2
	JNE  next
	TESTQ AX, AX
	JNE  done

next:
	ADDQ $OP_SIZE, R12
	INCQ BX
	JMP  loop

failed:
	CMPQ R15, $1
	JEQ  next
	INCQ BX
	MOVQ BX, 0(R14)
	NEGQ AX
	MOVQ AX, 8(R14)
	MOVQ $1, DI
	MOVQ $SYS_exit_group, AX
	SYSCALL

done:
	XORQ DI, DI
	MOVQ $SYS_exit_group, AX
	SYSCALL
	INT  $3
