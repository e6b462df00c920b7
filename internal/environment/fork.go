package environment

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
)

// forkPays is the init phase that a copy must save to be worth its zygote, which
// takes memory and a start of its own.
const forkPays = 50 * time.Millisecond

// Zygote is a runtime of a version whose init phase is over and that is kept
// aside: it serves no invocation, and further environments are made as copies of
// it. It outlives its copies, because the kernel ends them with it. Its methods
// are safe for concurrent use.
type Zygote struct {
	environment *Environment
	launch      launchState
	adapter     runtimeapi.Forker
	from        sandbox.Forker

	mu      sync.Mutex
	copies  int  // made and not stopped, or being made
	retired bool // makes no more
}

// Forks reports whether further environments like e should be copies: its
// adapter can make them, and the init phase took so long that they are worth it.
// Whether its user code lets itself be copied is seen by [Factory.StartZygote].
func (f *Factory) Forks(e *Environment) bool {
	if e.Version.Slots() > 1 || e.Phases.Init < forkPays {
		return false
	}
	resolution, adapter, err := f.runtime(e.Version.Runtime)
	if err != nil {
		return false
	}
	forker, ok := adapter.(runtimeapi.Forker)
	return ok && forker.Forks(resolution.Interpreter)
}

// StartZygote makes a zygote of v and waits for its init phase to end. A fault of
// the kind Unsupported says that v, or this node, can't have one, for as long as
// nothing changes: with the reason "NotForkable" because of what user code holds
// open or runs. Whatever the error, nothing is left behind.
func (f *Factory) StartZygote(ctx context.Context, v *function.Version) (*Zygote, error) {
	e := &Environment{ID: newID(), Version: v, lines: f.cfg.Lines, started: time.Now()}
	e.log = f.log.With("function", v.Function, "environment", e.ID)
	z := &Zygote{environment: e, launch: launchState{zygote: true}}
	if err := f.startZygote(ctx, z); err != nil {
		e.log.DebugContext(ctx, "a version has no zygote", "err", err)
		return nil, errors.Join(fmt.Errorf("start zygote of %s: %w", v.Ref(), err), e.Stop(ctx))
	}
	return z, nil
}

func (f *Factory) startZygote(ctx context.Context, z *Zygote) error {
	e, l := z.environment, &z.launch
	if err := f.resolve(ctx, e, l); err != nil {
		return err
	}
	var ok bool
	if z.adapter, ok = l.adapter.(runtimeapi.Forker); !ok || !z.adapter.Forks(l.resolution.Interpreter) || e.Version.Slots() > 1 {
		return fault.New(fault.Unsupported, "Fork", "runtimes of %s can't be copied", e.Version.Runtime)
	}
	if err := f.launch(ctx, e, l); err != nil {
		return err
	}
	if z.from, ok = e.sandbox.(sandbox.Forker); !ok {
		return fault.New(fault.Unsupported, "Fork", "the sandbox driver can't copy processes")
	}
	if err := f.init(ctx, e, l); err != nil {
		return err
	}
	return z.from.Forkable()
}

// errZygoteRetired says that another start is needed.
var errZygoteRetired = fault.New(fault.Unavailable, "ZygoteRetired", "the zygote makes no more copies")

// Fork makes an environment as a copy of z. An error leaves nothing behind; if it
// is the zygote's fault, the zygote is not [Zygote.Alive] any more.
func (f *Factory) Fork(ctx context.Context, z *Zygote) (*Environment, error) {
	if !z.enter() {
		return nil, errZygoteRetired
	}
	v := z.environment.Version
	e := &Environment{ID: newID(), Version: v, lines: f.cfg.Lines, started: time.Now(), origin: z}
	e.log = f.log.With("function", v.Function, "environment", e.ID)
	if err := f.fork(ctx, z, e); err != nil {
		if ctx.Err() == nil && !fault.Is(err, fault.Throttled, "") {
			z.retire()
		}
		return nil, errors.Join(fmt.Errorf("copy environment of %s: %w", v.Ref(), err), e.Stop(ctx))
	}
	return e, nil
}

func (f *Factory) fork(ctx context.Context, z *Zygote, e *Environment) (err error) {
	l := z.launch
	l.zygote = false
	began := time.Now()
	e.session, err = z.adapter.Fork(ctx, z.environment.session, z.from, spec(e), func(sb sandbox.Sandbox) (runtimeapi.Launch, error) {
		e.sandbox = sb
		return f.settings(ctx, e, &l)
	})
	e.Phases.Sandbox = time.Since(began)
	if err != nil {
		e.session = nil
		return err
	}
	return f.init(ctx, e, &l)
}

// Alive reports whether the zygote can make copies.
func (z *Zygote) Alive() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return !z.retired && z.environment.Alive()
}

// Started is when the zygote's start began. What it was told then, credentials
// included, its copies know too.
func (z *Zygote) Started() time.Time { return z.environment.started }

// MemoryBytes is what the zygote uses now, the memory that its copies share with
// it included; 0: nobody can tell.
func (z *Zygote) MemoryBytes() int64 { return z.environment.usage().MemoryBytes }

// Stop has the zygote make no more copies, and ends it: at once if it has none,
// else when the last of them is stopped. It may be called twice.
func (z *Zygote) Stop(ctx context.Context) error {
	z.mu.Lock()
	z.retired = true
	last := z.copies == 0
	z.mu.Unlock()
	if !last {
		return nil
	}
	return z.environment.Stop(ctx)
}

func (z *Zygote) retire() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.retired = true
}

// enter counts a copy that is to be made.
func (z *Zygote) enter() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.retired {
		return false
	}
	z.copies++
	return true
}

// leave is called when a copy has been stopped: the last one ends a retired
// zygote.
func (z *Zygote) leave(ctx context.Context) error {
	z.mu.Lock()
	z.copies--
	last := z.retired && z.copies == 0
	z.mu.Unlock()
	if !last {
		return nil
	}
	return z.environment.Stop(ctx)
}
