package environment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
)

// The limits of a stem until it is bound, and how long its start may take.
const (
	stemMemoryBytes = 512 << 20
	stemTimeout     = 20 * time.Second
)

// errUnbound says that a stem, and not the function, was at fault.
var errUnbound = errors.New("the stem environment could not be bound")

// Stem is a started, sandboxed runtime that serves no version yet. It is bound
// once, by [Factory.Start], or stopped.
type Stem struct {
	// Interpreter is what runs.
	Interpreter language.Interpreter

	id      string
	sandbox sandbox.Sandbox
	// listener is for the platform's API, once the stem is bound; nil: there is none.
	// The sandbox closes it.
	listener net.Listener
	runtime  runtimeapi.Stem
}

// StemFor says which interpreter's stems v can be bound to; false: none, it has to
// be started from nothing.
func (f *Factory) StemFor(v *function.Version) (language.Interpreter, bool) {
	resolution, adapter, err := f.runtime(v.Runtime)
	if err != nil {
		return language.Interpreter{}, false
	}
	stemmer, ok := adapter.(runtimeapi.Stemmer)
	return resolution.Interpreter, ok && stemmer.Binds(v)
}

// StartStem starts a stem. Unsupported says that this node can't have any of the
// interpreter. Whatever the error, nothing is left behind.
func (f *Factory) StartStem(ctx context.Context, in language.Interpreter) (*Stem, error) {
	adapter := f.cfg.Adapters[in.Family]
	stemmer, ok := adapter.(runtimeapi.Stemmer)
	if !ok {
		return nil, fault.New(fault.Unsupported, "Stem", "runtimes of %s can't be started ahead", in.Family)
	}
	ctx, cancel := context.WithTimeout(ctx, stemTimeout)
	defer cancel()
	s := &Stem{Interpreter: in, id: newID()}
	if err := f.launchStem(ctx, s, stemmer, adapter.Mounts(in)); err != nil {
		return nil, errors.Join(fmt.Errorf("start a stem of %s: %w", in.Path, err), s.Stop(ctx))
	}
	return s, nil
}

func (f *Factory) launchStem(ctx context.Context, s *Stem, stemmer runtimeapi.Stemmer, mounts []sandbox.Mount) (err error) {
	s.sandbox, err = f.cfg.Driver.Create(ctx, sandbox.Spec{
		ID: s.id, MemoryBytes: stemMemoryBytes, MilliCPU: initMilliCPU, PIDs: maxPIDs, OpenFiles: maxOpenFiles,
		Mounts: mounts, Unbound: true,
	})
	if err != nil {
		return err
	}
	if err := f.listen(ctx, s.sandbox, &s.listener); err != nil {
		return err
	}
	if s.runtime, err = stemmer.LaunchStem(ctx, s.sandbox, s.id, s.Interpreter); err != nil {
		return err
	}
	return s.runtime.Ready(ctx)
}

// Alive reports whether the runtime still waits for its binding.
func (s *Stem) Alive() bool {
	select {
	case <-s.runtime.Done():
		return false
	default:
		return true
	}
}

// MemoryBytes is what the stem uses now; 0: nobody can tell.
func (s *Stem) MemoryBytes() int64 {
	u, err := s.sandbox.Usage()
	if err != nil {
		return 0
	}
	return u.MemoryBytes
}

// Stop ends a stem that was not bound.
func (s *Stem) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var err error
	if s.sandbox != nil {
		err = s.sandbox.Destroy(ctx)
	}
	if s.runtime != nil {
		err = errors.Join(err, s.runtime.Close())
	}
	return err
}

// bind makes the stem the version's.
func (f *Factory) bind(ctx context.Context, e *Environment, l *launchState) error {
	v := e.Version
	began := time.Now()
	binder, ok := e.sandbox.(sandbox.Binder)
	if !ok {
		return fmt.Errorf("%w: its sandbox is none that can be", errUnbound)
	}
	err := binder.Bind(ctx, sandbox.Binding{
		MemoryBytes: int64(v.MemoryMB) << 20,
		MilliCPU:    max(initMilliCPU, milliCPU(v)),
		TmpBytes:    int64(v.EphemeralMB) << 20,
		Mounts:      f.codeMounts(v, l),
		Egress:      v.Egress,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errUnbound, err)
	}
	settings, err := f.settings(ctx, e, l)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnbound, err)
	}
	e.session, err = l.stem.runtime.Bind(ctx, settings)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnbound, err)
	}
	e.Phases.Sandbox = time.Since(began)
	return nil
}
