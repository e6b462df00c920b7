package environment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

var (
	errInitTimeout = errors.New("the init phase took too long")
	errTimeout     = errors.New("the invocation's time is over")
)

// InitError is a failure of user code's init phase. The call that waited for the
// environment gets its result.
type InitError struct {
	// environment has been stopped; it accounts for what its init took.
	environment *Environment
	result      *invocation.Result
	// message words the failure for a request; nil: the result is user code's
	// own and stays as it is.
	message func(requestID string) string
}

func (e *InitError) Error() string { return "init failed: " + e.result.ErrorType }

// Result ends inv, which waited for the environment, with the failure: it writes
// the call's lines of the log and completes the result's record.
func (e *InitError) Result(inv *invocation.Invocation) *invocation.Result {
	r := *e.result
	if e.message != nil {
		r = *invocation.Failed(r.ErrorType, e.message(inv.ID))
	}
	env := e.environment
	c := &call{inv: inv, init: true, duration: env.Phases.Init} // the call was nothing but the init
	env.begin(c)
	env.end(c, &r)
	return &r
}

// initFailure turns an error of Ready into an [*InitError] if it was user code's.
func (e *Environment) initFailure(err error, limit time.Duration) error {
	used := e.usage()
	e.final = &used
	failure := &InitError{environment: e}
	if own, ok := errors.AsType[*runtimeapi.InitError](err); ok {
		failure.result = &invocation.Result{
			Payload: own.Payload, ContentType: "application/json",
			FunctionError: invocation.Unhandled, ErrorType: own.Type,
		}
		return failure
	}
	if exit, ok := errors.AsType[*runtimeapi.ExitError](err); ok {
		errorType, message := e.exitFailure(exit)
		failure.result, failure.message = invocation.Failed(errorType, ""), message
		return failure
	}
	if errors.Is(err, errInitTimeout) {
		failure.result = invocation.Failed("Sandbox.Timedout", "")
		failure.message = func(requestID string) string { return timeoutMessage(requestID, limit) }
		return failure
	}
	return err
}

// exitFailure says how a runtime's unexpected end is reported.
func (e *Environment) exitFailure(exit *runtimeapi.ExitError) (errorType string, message func(requestID string) string) {
	if e.usage().OOMKills > 0 {
		return "Runtime.OutOfMemory", func(requestID string) string {
			return fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %s: out of memory, the function's limit is %d MB",
				requestID, exit.Exit, e.Version.MemoryMB)
		}
	}
	return "Runtime.ExitError", func(requestID string) string {
		if exit.Exit.Signal == "" && exit.Exit.Code == 0 {
			return fmt.Sprintf("RequestId: %s Error: Runtime exited without providing a reason", requestID)
		}
		return fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %s", requestID, exit.Exit)
	}
}

func timeoutMessage(requestID string, limit time.Duration) string {
	return fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", requestID, limit.Seconds())
}

// failed turns an error of Session.Invoke into the call's result, or into an
// error if the platform failed.
func (e *Environment) failed(inv *invocation.Invocation, err error) (*invocation.Result, error) {
	if exit, ok := errors.AsType[*runtimeapi.ExitError](err); ok {
		errorType, message := e.exitFailure(exit)
		return invocation.Failed(errorType, message(inv.ID)), nil
	}
	if errors.Is(err, errTimeout) {
		return invocation.Failed("Sandbox.Timedout", timeoutMessage(inv.ID, e.Version.Timeout)), nil
	}
	if errors.Is(err, context.Canceled) {
		return nil, fault.Wrap(err, fault.Unavailable, "Draining", "the node stopped before the function answered: try again")
	}
	return nil, fmt.Errorf("invoke %s in environment %s: %w", e.Version.Ref(), e.ID, err)
}
