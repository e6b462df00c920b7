// Package environment runs one execution environment: a sandbox, the session
// with user code in it, and the states it goes through. It accounts for what an
// invocation took, writes the platform's lines of a function's log, and turns
// timeouts, exits and out-of-memory into results. Which environment takes which
// call is the pool's matter.
//
// An environment runs as many invocations at once as its version's concurrency
// says, and takes a few more ahead if its session does. All methods are safe for
// concurrent use. Locks are taken in the order stopping, cold, mu.
package environment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/google/uuid"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/telemetry"
)

// The limits of a sandbox that no setting changes.
const (
	maxPIDs = 1024
	// crowdedPIDs is how many processes and threads may be left of calls. User
	// code's runtime is process 1 of its sandbox and waits for its own children
	// alone, so orphans that have ended stay and count: an environment is given
	// up before a call of the same appetite can't start any.
	crowdedPIDs  = maxPIDs / 2
	maxOpenFiles = 1024
	// insideAddress is where the platform's API listens inside a sandbox.
	insideAddress = "127.0.0.1:9002"
	// mbPerCPU is the memory size that comes with one whole processor.
	mbPerCPU = 1769
	// initMilliCPU is the least share during the init phase: with the 72
	// thousandths that come with 128 MB an interpreter would take a second to
	// start.
	initMilliCPU = 1000
	// stopTimeout bounds one try to destroy a sandbox, stopTries how often it is
	// tried.
	stopTimeout = 20 * time.Second
	stopTries   = 3
)

// milliCPU is the processor share that comes with a version's memory.
func milliCPU(v *function.Version) int { return max(1, v.MemoryMB*1000/mbPerCPU) }

// Config is what environments are made with.
type Config struct {
	Driver   sandbox.Driver
	Adapters map[language.Family]runtimeapi.Adapter
	// Resolve answers what runs a runtime identifier on this node.
	Resolve func(runtime string) (language.Resolution, error)
	// CodeDir returns the directory that holds a code package unpacked.
	CodeDir func(ctx context.Context, sha256 string) (string, error)
	// CodeMounts lists what a version's environments get beside its code; nil:
	// nothing.
	CodeMounts func(v *function.Version, in language.Interpreter) []sandbox.Mount
	// Environ returns the environment variables of user code.
	// endpoint is where it reaches the platform's API; empty: nowhere.
	Environ func(v *function.Version, in language.Interpreter, environment, endpoint string) map[string]string
	// Inside serves the platform's API to the function of an execution environment,
	// on a listener in its sandbox. It returns the URL and what ends it; nil: there
	// is no such API.
	Inside func(l net.Listener, environment string) (endpoint string, end io.Closer)
	// Lines receives what functions write; it must not block.
	Lines func(telemetry.Line)
	// InitTimeout bounds the init phase, unless the version's own timeout is
	// longer.
	InitTimeout time.Duration
	Log         *slog.Logger
}

// Factory makes environments. It is safe for concurrent use.
type Factory struct {
	cfg Config
	log *slog.Logger
}

// NewFactory returns a factory.
func NewFactory(cfg Config) *Factory {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Factory{cfg: cfg, log: cfg.Log}
}

// Start makes an environment of v and waits for its init phase to end. With a
// stem it is made by binding that, which is used up whatever comes of it; without
// one, or if the stem could not be bound, from nothing. A failure of user code's
// own is an [*InitError]; all other errors are the platform's. Whatever the error,
// nothing is left behind.
func (f *Factory) Start(ctx context.Context, v *function.Version, stem *Stem) (*Environment, error) {
	if stem != nil {
		e, err := f.make(ctx, v, stem)
		if err == nil || !errors.Is(err, errUnbound) || ctx.Err() != nil {
			return e, err
		}
		f.log.WarnContext(ctx, "a stem environment could not be bound, the start begins anew", "function", v.Function, "err", err)
	}
	return f.make(ctx, v, nil)
}

func (f *Factory) make(ctx context.Context, v *function.Version, stem *Stem) (*Environment, error) {
	e := &Environment{ID: newID(), Version: v, lines: f.cfg.Lines, started: time.Now()}
	if stem != nil {
		e.ID, e.sandbox, e.listener = stem.id, stem.sandbox, stem.listener
	}
	e.log = f.log.With("function", v.Function, "environment", e.ID)
	if err := f.start(ctx, e, stem); err != nil {
		return nil, errors.Join(err, e.Stop(ctx))
	}
	return e, nil
}

func newID() string {
	return "e-" + strings.ReplaceAll(uuid.NewString(), "-", "")
}

// start goes through the steps of a start, in order. What a step makes is freed
// by Stop.
func (f *Factory) start(ctx context.Context, e *Environment, stem *Stem) error {
	l := launchState{stem: stem}
	begin := f.launch
	if stem != nil {
		begin = f.bind
	}
	for _, s := range []struct {
		name string
		do   func(context.Context, *Environment, *launchState) error
	}{
		{"resolve", f.resolve},
		{"launch", begin},
		{"init", f.init},
	} {
		if err := s.do(ctx, e, &l); err != nil {
			if _, ok := errors.AsType[*InitError](err); ok {
				return err
			}
			if stem != nil && e.session == nil {
				err = errors.Join(err, stem.runtime.Close())
			}
			return fmt.Errorf("start environment of %s: %s: %w", e.Version.Ref(), s.name, err)
		}
	}
	return nil
}

// launchState is what the steps of a start hand on.
type launchState struct {
	resolution language.Resolution
	adapter    runtimeapi.Adapter
	codeDir    string
	stem       *Stem
	zygote     bool // the runtime is copied and serves nothing itself
}

func (f *Factory) resolve(ctx context.Context, e *Environment, l *launchState) error {
	var err error
	if l.resolution, l.adapter, err = f.runtime(e.Version.Runtime); err != nil {
		return err
	}
	began := time.Now()
	l.codeDir, err = f.cfg.CodeDir(ctx, e.Version.Code.SHA256)
	e.Phases.Load = time.Since(began)
	return err
}

// runtime says what runs a runtime identifier here.
func (f *Factory) runtime(identifier string) (language.Resolution, runtimeapi.Adapter, error) {
	resolution, err := f.cfg.Resolve(identifier)
	if err != nil {
		return resolution, nil, err
	}
	adapter, ok := f.cfg.Adapters[resolution.Family]
	if !ok {
		return resolution, nil, fault.New(fault.Unsupported, "RuntimeNotFound", "this node has no support for the runtime %s", identifier)
	}
	return resolution, adapter, nil
}

// launch makes a sandbox for the version and starts its runtime there.
func (f *Factory) launch(ctx context.Context, e *Environment, l *launchState) (err error) {
	sp := spec(e)
	sp.Mounts = append(f.codeMounts(e.Version, l), l.adapter.Mounts(l.resolution.Interpreter)...)
	began := time.Now()
	if e.sandbox, err = f.cfg.Driver.Create(ctx, sp); err != nil {
		return err
	}
	settings, err := f.settings(ctx, e, l)
	if err != nil {
		return err
	}
	e.session, err = l.adapter.Launch(ctx, e.sandbox, settings)
	e.Phases.Sandbox = time.Since(began)
	return err
}

// spec is the sandbox of an environment during its init phase, without mounts.
func spec(e *Environment) sandbox.Spec {
	v := e.Version
	return sandbox.Spec{
		ID:          e.ID,
		MemoryBytes: int64(v.MemoryMB) << 20,
		MilliCPU:    max(initMilliCPU, milliCPU(v)),
		PIDs:        maxPIDs,
		OpenFiles:   maxOpenFiles,
		TmpBytes:    int64(v.EphemeralMB) << 20,
		Egress:      v.Egress,
	}
}

// codeMounts lists the mounts of the version's own.
func (f *Factory) codeMounts(v *function.Version, l *launchState) []sandbox.Mount {
	mounts := []sandbox.Mount{{Source: l.codeDir, Target: "/var/task"}}
	if f.cfg.CodeMounts != nil {
		mounts = append(mounts, f.cfg.CodeMounts(v, l.resolution.Interpreter)...)
	}
	return mounts
}

// settings is what the version's adapter must know of it. From here on the
// platform's API is there inside the sandbox.
func (f *Factory) settings(ctx context.Context, e *Environment, l *launchState) (runtimeapi.Launch, error) {
	endpoint := ""
	if f.cfg.Inside != nil {
		if err := f.listen(ctx, e.sandbox, &e.listener); err != nil {
			return runtimeapi.Launch{}, err
		}
		endpoint, e.inside = f.cfg.Inside(e.listener, e.ID)
	}
	return runtimeapi.Launch{
		Environment: e.ID,
		Version:     e.Version,
		Interpreter: l.resolution.Interpreter,
		Env:         f.cfg.Environ(e.Version, l.resolution.Interpreter, e.ID, endpoint),
		Zygote:      l.zygote,
		Output:      e.output,
	}, nil
}

// listen takes the address of the platform's API inside a sandbox, unless that has
// been done or there is no such API. A stem takes it when it starts.
func (f *Factory) listen(ctx context.Context, sb sandbox.Sandbox, l *net.Listener) (err error) {
	if f.cfg.Inside != nil && *l == nil {
		*l, err = sb.Listen(ctx, insideAddress)
	}
	return err
}

func (f *Factory) init(ctx context.Context, e *Environment, l *launchState) error {
	if p, ok := e.session.(runtimeapi.Pipeliner); ok {
		e.line, e.ahead = p, p.Ahead()
	}
	limit := max(f.cfg.InitTimeout, e.Version.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errInitTimeout)
	defer cancel()
	began := time.Now()
	err := e.session.Ready(ctx)
	e.Phases.Runtime = e.session.Started()
	e.Phases.Init = max(0, time.Since(began)-e.Phases.Runtime)
	if err != nil {
		return e.initFailure(err, limit)
	}
	// A zygote keeps its share: the beginnings of its copies are its work.
	if limiter, ok := e.sandbox.(sandbox.Limiter); ok && milliCPU(e.Version) < initMilliCPU && !l.zygote {
		if err := limiter.Limit(int64(e.Version.MemoryMB)<<20, milliCPU(e.Version)); err != nil {
			return err
		}
	}
	e.spent(e.usage())
	if !e.move(Idle) {
		return errors.New("environment was stopped during its init phase")
	}
	return nil
}
