// Package dispatch is the path of an invocation: find the version, admit the
// call, get an environment, run it, record it. It holds no state but a counter;
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
	"mayfly.dev/mayfly/internal/runtimeapi"
)

// functions is what dispatch needs of the catalog.
type functions interface {
	Function(namespace, name string) (*function.Function, error)
}

// pools is what dispatch needs of the node's environments.
type pools interface {
	Acquire(ctx context.Context, d pool.Demand) (pool.Lease, error)
}

// Config is what a dispatcher works with.
type Config struct {
	Functions functions
	Pools     pools
	// Record receives the record of every call; it must not block.
	Record func(*invocation.Record)
	Log    *slog.Logger
}

// maxTries bounds how often a call begins anew because an update replaced the
// version that it waited for, or because its environment ended before its turn.
const maxTries = 10

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
	return &Dispatcher{cfg: cfg, log: cfg.Log}
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
	if err := d.admission.enter(); err != nil {
		d.refused(inv, f, err)
		return nil, err
	}
	defer d.admission.leave()
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
	for range maxTries {
		result, err := d.try(ctx, inv, f)
		if !errors.Is(err, pool.ErrRetired) && !errors.Is(err, runtimeapi.ErrNotBegun) {
			return result, err
		}
		if f, err = d.resolve(inv.Ref); err != nil {
			return nil, err
		}
	}
	return nil, fault.New(fault.Unavailable, "FunctionChanging", "the environments of the function %s end faster than it can be started: try again", f.Name)
}

// try runs the call in an environment of the function's present version.
func (d *Dispatcher) try(ctx context.Context, inv *invocation.Invocation, f *function.Function) (*invocation.Result, error) {
	lease, err := d.cfg.Pools.Acquire(ctx, pool.Demand{
		Version: &f.Latest, Reserved: f.ReservedConcurrency, FailFast: inv.FailFast, Bytes: len(inv.Payload),
	})
	if failure, ok := errors.AsType[*environment.InitError](err); ok {
		result := failure.Result(inv)
		queueOf(result.Record)
		return result, nil
	}
	if err != nil && ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		return nil, fault.Wrap(err, fault.Unavailable, "CallerGone", "the caller went away while the call waited for an environment")
	}
	if err != nil {
		return nil, err
	}
	result, reusable, err := lease.Invoke(context.WithoutCancel(ctx), inv)
	if err != nil {
		lease.Release(reusable, nil)
		return nil, err
	}
	r := result.Record
	lease.Release(reusable, r)
	r.ColdStart, r.ColdStartReason = lease.ColdStart != "", lease.ColdStart
	if !r.ColdStart {
		r.Sandbox, r.Runtime, r.Load, r.Init = 0, 0, 0, 0
	}
	queueOf(r)
	return result, nil
}

// queueOf takes the phases of a cold start off the wait for it.
func queueOf(r *invocation.Record) {
	r.Queue = max(0, r.Queue-r.Sandbox-r.Runtime-r.Load-r.Init)
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
