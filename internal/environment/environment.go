package environment

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/telemetry"
)

// Phases is how long the parts of an environment's start took.
type Phases struct {
	// Sandbox is the time from nothing to the started runtime process, Init from
	// there to the end of user code's init phase.
	Sandbox, Init time.Duration
}

// Environment is one execution environment of a version.
type Environment struct {
	ID      string
	Version *function.Version
	Phases  Phases

	log     *slog.Logger
	lines   func(telemetry.Line)
	started time.Time
	sandbox sandbox.Sandbox
	session runtimeapi.Session
	final   *sandbox.Usage // what a failed start had used; nil: ask the sandbox

	stopping sync.Mutex // held while the environment is freed; before mu
	stopped  bool       // all has been freed; guarded by stopping

	mu      sync.Mutex
	state   State
	current *call // the invocation that runs, if any
	calls   int
}

// Alive reports whether user code still runs.
func (e *Environment) Alive() bool {
	select {
	case <-e.session.Done():
		return false
	default:
		return e.State() != Gone
	}
}

// Calls counts the invocations that the environment took.
func (e *Environment) Calls() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls
}

// Started is when the environment's start began.
func (e *Environment) Started() time.Time { return e.started }

// Invoke runs one invocation and returns how it ended. ctx carries no deadline:
// the version's timeout bounds the call. After a timeout, an exit or an error,
// or when too many processes are left, the environment is of no use any more and
// Alive reports false or the caller stops it: reusable says which.
func (e *Environment) Invoke(ctx context.Context, inv *invocation.Invocation) (result *invocation.Result, reusable bool, err error) {
	if !e.move(Busy) {
		return nil, false, errors.New("environment " + e.ID + " is " + e.State().String() + ", it can't take a call")
	}
	now := time.Now()
	inv.Deadline = now.Add(e.Version.Timeout)
	c := e.begin(inv, now)
	cpu := e.usage().CPU

	callCtx, cancel := context.WithTimeoutCause(ctx, e.Version.Timeout, errTimeout)
	result, err = e.session.Invoke(callCtx, inv)
	cancel()
	c.duration = time.Since(now)
	if err != nil {
		result, err = e.failed(inv, err)
	} else {
		reusable = true
	}
	crowded := e.end(c, result, cpu)
	if !reusable || crowded || !e.move(Idle) {
		reusable = false
	}
	return result, reusable, err
}

// Retire makes the environment take no more invocations. It reports true to one
// caller only, whose task it is to call Stop.
func (e *Environment) Retire() bool { return e.move(Draining) }

// Stop ends user code and frees all that the environment holds. On a machine that
// is too busy to do so in time it tries again; what it could not free after
// stopTries is the error. It may be called twice.
func (e *Environment) Stop(ctx context.Context) error {
	e.move(Gone)
	e.stopping.Lock()
	defer e.stopping.Unlock()
	if e.stopped {
		return nil
	}
	var err error
	for range stopTries {
		if err = e.free(context.WithoutCancel(ctx)); err == nil {
			e.stopped = true
			return nil
		}
		e.log.WarnContext(ctx, "a sandbox could not be destroyed in one go", "err", err)
	}
	return err
}

func (e *Environment) free(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	var err error
	if e.sandbox != nil {
		err = e.sandbox.Destroy(ctx)
	}
	if e.session != nil {
		err = errors.Join(err, e.session.Close())
	}
	return err
}

// usage reads what the sandbox has used; a sandbox that can't tell has used
// nothing.
func (e *Environment) usage() sandbox.Usage {
	if e.final != nil {
		return *e.final
	}
	if e.sandbox == nil {
		return sandbox.Usage{}
	}
	u, err := e.sandbox.Usage()
	if err != nil {
		e.log.Debug("usage of a sandbox could not be read", "err", err)
	}
	return u
}
