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
#define SYS_exit_group 94

// func spawn(args *cloneArgs, size uintptr, ops *op, n uintptr, rep *report) (pid uintptr)
//
// The child shares memory and stack with its suspended parent, so it keeps to
// registers: it reads ops and writes slots and the report, nothing else.
TEXT ·spawn(SB), NOSPLIT, $0-48
	MOVD args+0(FP), R0
	MOVD size+8(FP), R1
	MOVD ops+16(FP), R19
	MOVD n+24(FP), R20
	MOVD rep+32(FP), R21
	MOVD $SYS_clone3, R8
	SVC
	CBZ  R0, child
	MOVD R0, pid+40(FP)
	RET

child:
	MOVD ZR, R22

loop:
	CMP  R20, R22
	BGE  done
	MOVD OP_A0(R19), R0
	MOVD OP_LOAD(R19), R23
	CBZ  R23, loaded
	MOVD (R23), R0

loaded:
	MOVD OP_A1(R19), R1
	MOVD OP_A2(R19), R2
	MOVD OP_A3(R19), R3
	MOVD OP_A4(R19), R4
	MOVD OP_A5(R19), R5
	MOVD OP_NR(R19), R8
	SVC
	MOVD OP_SAVE(R19), R23
	CBZ  R23, saved
	MOVD R0, (R23)

saved:
	MOVD OP_MODE(R19), R23
	CMN  $4095, R0
	BCS  failed
	CMP  $2, R23
	BNE  next
	CBNZ R0, done

next:
	ADD  $OP_SIZE, R19
	ADD  $1, R22
	B    loop

failed:
	CMP  $1, R23
	BEQ  next
	ADD  $1, R22
	MOVD R22, 0(R21)
	NEG  R0, R0
	MOVD R0, 8(R21)
	MOVD $1, R0
	MOVD $SYS_exit_group, R8
	SVC

done:
	MOVD ZR, R0
	MOVD $SYS_exit_group, R8
	SVC
	BRK
