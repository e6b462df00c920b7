package environment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/telemetry"
)

// Phases is how long the parts of an environment's start took, in their order.
// See [invocation.Record].
type Phases struct {
	Sandbox, Runtime, Load, Init time.Duration
}

// Total is how long the start took.
func (p Phases) Total() time.Duration { return p.Sandbox + p.Runtime + p.Load + p.Init }

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
	// listener is for the platform's API inside, inside ends that; nil: there is none.
	listener net.Listener
	inside   io.Closer
	line     runtimeapi.Pipeliner // the session, if it takes invocations ahead
	ahead    int
	origin   *Zygote        // of which it is a copy; nil: it was started
	final    *sandbox.Usage // what a failed start had used; nil: ask the sandbox

	stopping sync.Mutex // held while the environment is freed; before mu
	stopped  bool       // all has been freed; guarded by stopping

	cold sync.Mutex // held while processes are frozen or woken; before mu

	mu    sync.Mutex
	state State
	calls []*call // accepted and not ended, in the order of their acceptance
	taken int     // how many were accepted so far
	// cpu and delay are what the sandbox had used and waited when the last call ended.
	cpu, delay time.Duration
	// used is all that the sandbox had used when it was measured last.
	used     sandbox.Usage
	measured time.Time
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
	return e.taken
}

// Started is when the environment's start began.
func (e *Environment) Started() time.Time { return e.started }

// Ahead is how many invocations the environment takes beside those that the
// version's concurrency lets it run: they begin when earlier ones have ended.
func (e *Environment) Ahead() int { return e.ahead }

// Invoke runs one invocation and returns how it ended. ctx carries no deadline:
// the version's timeout bounds the call, from when user code may begin it. After a
// timeout or an exit, or when too many processes are left, the environment is of
// no use any more: reusable is false then, and what was taken ahead ends with
// [runtimeapi.ErrNotBegun] once the environment has been stopped.
func (e *Environment) Invoke(ctx context.Context, inv *invocation.Invocation) (result *invocation.Result, reusable bool, err error) {
	c, err := e.accept(inv)
	if err != nil {
		return nil, false, err
	}
	ctx, c.cancel = context.WithCancelCause(ctx)
	defer c.cancel(nil)
	if e.line != nil {
		result, err = e.line.InvokeInLine(ctx, inv, func() { e.begin(c) })
	} else {
		e.begin(c)
		result, err = e.session.Invoke(ctx, inv)
	}
	if errors.Is(err, runtimeapi.ErrNotBegun) {
		e.leave(c)
		return nil, false, err
	}
	reusable = err == nil
	if err != nil {
		result, err = e.failed(inv, err)
	}
	crowded := e.end(c, result)
	return result, e.leave(c) && reusable && !crowded, err
}

// accept makes inv one of the environment's calls. A frozen environment is woken.
// One that has ended since it was chosen refuses with [runtimeapi.ErrNotBegun].
func (e *Environment) accept(inv *invocation.Invocation) (*call, error) {
	if e.State() == Frozen {
		if err := e.thaw(); err != nil {
			return nil, fmt.Errorf("%w: %w", runtimeapi.ErrNotBegun, err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != Idle && (e.state != Busy || len(e.calls) >= e.Version.Slots()+e.ahead) {
		return nil, fmt.Errorf("%w: environment %s is %s and runs %d", runtimeapi.ErrNotBegun, e.ID, e.state, len(e.calls))
	}
	e.state = Busy
	c := &call{inv: inv, first: e.taken == 0}
	e.taken++
	e.calls = append(e.calls, c)
	inv.Deadline = time.Now().Add(e.Version.Timeout)
	return c, nil
}

// leave takes a call off the environment's list. It reports whether the
// environment takes further ones.
func (e *Environment) leave(c *call) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, other := range e.calls {
		if other == c {
			e.calls = append(e.calls[:i], e.calls[i+1:]...)
			break
		}
	}
	if e.state == Busy && len(e.calls) == 0 {
		e.state = Idle
	}
	return e.state == Idle || e.state == Busy
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
			if e.origin != nil {
				return e.origin.leave(ctx)
			}
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
	if e.inside != nil {
		err = errors.Join(err, e.inside.Close())
	}
	return err
}
