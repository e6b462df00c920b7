// Package dispatch is the path of an invocation: find the version, admit the
// call, get an environment, run it, record it. It holds no state but counters;
// it is safe for concurrent use and starts no goroutine.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/pool"
)

// functions is what dispatch needs of the catalog.
type functions interface {
	Function(namespace, name string) (*function.Function, error)
}

// pools is what dispatch needs of the node's environments.
type pools interface {
	Acquire(ctx context.Context, v *function.Version) (pool.Lease, error)
}

// Config is what a dispatcher works with.
type Config struct {
	Functions functions
	Pools     pools
	// Record receives the record of every call; it must not block.
	Record func(*invocation.Record)
	// MaxConcurrency bounds the calls on this node, waiting ones included.
	MaxConcurrency int
	// QueueTimeout bounds the wait for an environment, beyond the time that a
	// version's init phase may take.
	QueueTimeout time.Duration
	Log          *slog.Logger
}

// maxReplaced bounds how often a call looks its version up again because an
// update replaced it while the call waited.
const maxReplaced = 10

// Dispatcher runs invocations.
type Dispatcher struct {
	cfg       Config
	log       *slog.Logger
	admission admission
}

// New returns a dispatcher.
func New(cfg Config) *Dispatcher {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Dispatcher{cfg: cfg, log: cfg.Log, admission: admission{max: int64(cfg.MaxConcurrency)}}
}

// Invoke runs one call and returns how it ended. Errors are the platform's own:
// NotFound, Throttled, TooLarge, Conflict, Unavailable or Unsupported faults,
// else Internal. When ctx ends, a call that still waits is given up; one that
// has reached user code runs on to its end.
func (d *Dispatcher) Invoke(ctx context.Context, inv *invocation.Invocation) (result *invocation.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			d.log.ErrorContext(ctx, "an invocation panicked", "request_id", inv.ID, "panic", fmt.Sprint(p))
			result, err = nil, fault.New(fault.Internal, "Internal", "the platform failed to handle the request")
		}
	}()
	if len(inv.Payload) > invocation.MaxRequestBytes {
		return nil, fault.New(fault.TooLarge, "RequestTooLarge",
			"the payload of %d bytes is larger than %d", len(inv.Payload), invocation.MaxRequestBytes)
	}
	f, err := d.resolve(inv.Ref)
	if err != nil {
		return nil, err
	}
	leave, err := d.admission.enter(f)
	if err != nil {
		d.refused(inv, f, err)
		return nil, err
	}
	defer leave()
	result, err = d.run(ctx, inv, f)
	if err != nil {
		d.refused(inv, f, err)
		return nil, err
	}
	d.cfg.Record(result.Record)
	return result, nil
}

// resolve finds the function that ref names and checks that it can be invoked.
func (d *Dispatcher) resolve(ref function.Ref) (*function.Function, error) {
	f, err := d.cfg.Functions.Function(ref.Namespace, ref.Name)
	if err != nil {
		return nil, err
	}
	if ref.Qualifier != "" && ref.Qualifier != function.Latest {
		return nil, fault.New(fault.NotFound, "VersionNotFound", "the function %s has no version or alias %s", ref.Name, ref.Qualifier)
	}
	switch f.State {
	case function.Active:
		return f, nil
	case function.Failed:
		return nil, fault.New(fault.Conflict, "FunctionFailed", "the function %s can't be invoked, its code could not be prepared: %s", f.Name, f.StateReason)
	default:
		return nil, fault.New(fault.Conflict, "FunctionPending", "the function %s is still being prepared: try again in a moment", f.Name)
	}
}

// run gets an environment for the call and runs it there.
func (d *Dispatcher) run(ctx context.Context, inv *invocation.Invocation, f *function.Function) (*invocation.Result, error) {
	lease, err := d.acquire(ctx, inv, f)
	if failure, ok := errors.AsType[*environment.InitError](err); ok {
		result := failure.Result(inv)
		result.Record.Queue = time.Since(inv.Received) - result.Record.Sandbox - result.Record.Init
		return result, nil
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "Canceled", "the caller went away before an environment was ready")
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		err = fault.Wrap(err, fault.Unavailable, "CallerGone", "the caller went away while the call waited for an environment")
	}
	if err != nil {
		return nil, err
	}
	queued := time.Since(inv.Received)
	result, reusable, err := lease.Invoke(context.WithoutCancel(ctx), inv)
	lease.Release(reusable)
	if err != nil {
		return nil, err
	}
	r := result.Record
	r.ColdStart, r.ColdStartReason = lease.ColdStart != "", lease.ColdStart
	r.Queue = queued
	if r.ColdStart {
		r.Queue = max(0, queued-r.Sandbox-r.Init)
	} else {
		r.Sandbox, r.Init = 0, 0
	}
	return result, nil
}

// acquire waits for an environment of the function's present version.
func (d *Dispatcher) acquire(ctx context.Context, inv *invocation.Invocation, f *function.Function) (pool.Lease, error) {
	limit := d.cfg.QueueTimeout + f.Latest.Timeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fault.New(fault.Throttled, "NodeMemory",
		"no environment became free within %s: the node's memory for functions is in use", limit))
	defer cancel()
	for range maxReplaced {
		lease, err := d.cfg.Pools.Acquire(ctx, &f.Latest)
		if !errors.Is(err, pool.ErrRetired) {
			return lease, err
		}
		if f, err = d.resolve(inv.Ref); err != nil {
			return pool.Lease{}, err
		}
	}
	return pool.Lease{}, fault.New(fault.Unavailable, "FunctionChanging", "the function %s is updated faster than it can be started: try again", f.Name)
}

// refused records a call that did not reach user code.
func (d *Dispatcher) refused(inv *invocation.Invocation, f *function.Function, err error) {
	e := fault.From(err)
	outcome := invocation.OutcomeFault
	if e.Kind == fault.Throttled {
		outcome = invocation.OutcomeThrottled
	}
	if e.Kind == fault.Internal {
		d.log.Error("an invocation failed in the platform", "function", f.Name, "request_id", inv.ID, "err", err)
	}
	d.cfg.Record(&invocation.Record{
		RequestID: inv.ID, Namespace: f.Namespace, Function: f.Name, Version: f.Latest.Number, Revision: f.Latest.Revision,
		Trigger: inv.Trigger, Received: inv.Received, Outcome: outcome, ErrorType: e.Reason, ErrorMessage: e.Detail,
		Queue: time.Since(inv.Received), MemoryMB: f.Latest.MemoryMB, RequestBytes: len(inv.Payload), TraceID: inv.TraceID,
	})
}

// InFlight counts the calls that wait or run.
func (d *Dispatcher) InFlight() int { return int(d.admission.inFlight.Load()) }

// Drain refuses new calls and waits until none is left or ctx is done.
func (d *Dispatcher) Drain(ctx context.Context) error { return d.admission.drain(ctx) }

// Forget drops the counters of a function that was deleted.
func (d *Dispatcher) Forget(namespace, name string) { d.admission.forget(namespace, name) }
