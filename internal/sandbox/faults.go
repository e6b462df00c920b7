package sandbox

import (
	"errors"
	"fmt"
	"syscall"

	"mayfly.dev/mayfly/internal/fault"
)

// What every driver answers to a call that comes too late.
var (
	ErrDestroyed = fault.New(fault.Conflict, "SandboxDestroyed", "the sandbox has been destroyed")
	ErrStarted   = fault.New(fault.Conflict, "SandboxStarted", "the sandbox has been started before")
	ErrBound     = fault.New(fault.Conflict, "SandboxBound", "the sandbox has been bound before, or was made whole")
)

// What every driver answers to a binding that comes too early or too late.
var (
	ErrNotStarted = fault.New(fault.Conflict, "SandboxNotStarted", "the sandbox has not been started yet")
	ErrEnded      = fault.New(fault.Conflict, "SandboxEnded", "the sandbox's first process has ended")
)

// ProgramFault says what is wrong with a program that could not be executed,
// where err is the system's answer: Invalid with the reason "ProgramNotFound",
// "ProgramNotExecutable" or "ProgramFormat". Any other err comes back wrapped.
func ProgramFault(err error, program string) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return fault.Wrap(err, fault.Invalid, "ProgramNotFound", "%s, or the interpreter that it names, does not exist in the sandbox", program)
	case errors.Is(err, syscall.EACCES):
		return fault.Wrap(err, fault.Invalid, "ProgramNotExecutable", "%s may not be executed: set its executable bits", program)
	case errors.Is(err, syscall.ENOEXEC):
		return fault.Wrap(err, fault.Invalid, "ProgramFormat", "%s is not a program for this machine and has no #! line", program)
	default:
		return fmt.Errorf("start sandbox: %w", err)
	}
}
