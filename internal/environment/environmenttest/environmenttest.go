// Package environmenttest makes environments whose user code is a Go function of
// the test, for tests of what stands above environments.
package environmenttest

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/telemetry"
)

// World is the user code of all environments of a factory, and what the factory
// made. Its functions may be changed only before the first environment starts.
type World struct {
	// Init is the init phase; nil: it succeeds at once.
	Init func(ctx context.Context) error
	// Handle is the handler; nil: it echoes the payload.
	Handle func(ctx context.Context, inv *invocation.Invocation, say func(string)) (*invocation.Result, error)
	// OOM makes sandboxes report that the kernel killed a process.
	OOM atomic.Bool
	// PIDs is how many processes sandboxes report, Memory how many bytes they use.
	PIDs, Memory atomic.Int64
	// Inside serves the platform's API in sandboxes; nil: there is none.
	Inside func(l net.Listener, environment string) (string, io.Closer)
	// Environ sees the endpoint of each environment; nil: nobody looks.
	Environ func(endpoint string)
	// Lines receives the log; nil: it is dropped.
	Lines func(telemetry.Line)

	// Ahead is how many invocations sessions take ahead.
	Ahead int
	// Stems lets runtimes start before their version is known.
	Stems bool
	// Bind is called when one is bound; nil: it succeeds.
	Bind func() error

	// Zygotes lets runtimes be copied.
	Zygotes bool
	// Forkable says what is in the way of copies, Copy fails one; nil: nothing.
	Forkable, Copy func() error

	// Stuck is how many destructions fail.
	Stuck atomic.Int64
	// Created and Destroyed count sandboxes; Bound those that were stems, Frozen
	// those whose processes are stopped, Reclaimed the times that memory was,
	// Forked those that are copies.
	Created, Destroyed, Bound, Frozen, Reclaimed, Forked atomic.Int64
}

// Factory returns a factory whose environments run the world's functions.
func (w *World) Factory() *environment.Factory {
	lines := w.Lines
	if lines == nil {
		lines = func(telemetry.Line) {}
	}
	return environment.NewFactory(environment.Config{
		Driver:   (*driver)(w),
		Adapters: map[language.Family]runtimeapi.Adapter{language.Provided: (*adapter)(w)},
		Resolve: func(runtime string) (language.Resolution, error) {
			return language.Resolution{
				Runtime: runtime, Family: language.Provided, Interpreter: language.Interpreter{Family: language.Provided},
			}, nil
		},
		CodeDir: func(context.Context, string) (string, error) { return "/code", nil },
		Environ: func(_ *function.Version, _ language.Interpreter, _, endpoint string) map[string]string {
			if w.Environ != nil {
				w.Environ(endpoint)
			}
			return nil
		},
		Lines:       lines,
		Inside:      w.Inside,
		InitTimeout: 200 * time.Millisecond,
	})
}

// Version returns a version with valid settings.
func Version(name string) *function.Version {
	v := &function.Version{Namespace: "default", Function: name, Number: function.Latest, Revision: "1", Modified: time.Now()}
	v.Runtime = "provided.al2023"
	v.Fill()
	return v
}

// Call returns an invocation of a version's function.
func Call(id, name, payload string) *invocation.Invocation {
	return &invocation.Invocation{
		ID: id, Ref: function.Ref{Namespace: "default", Name: name}, Payload: []byte(payload),
		Received: time.Now(), Trigger: "test", WantLogTail: true,
	}
}

// Balanced fails the test if a sandbox was left or destroyed twice.
func (w *World) Balanced(t *testing.T) {
	t.Helper()
	if c, d := w.Created.Load(), w.Destroyed.Load(); c != d {
		t.Errorf("%d sandboxes were created and %d destroyed", c, d)
	}
}

type driver World

func (d *driver) Name() string                { return "test" }
func (d *driver) Gaps() []sandbox.Gap         { return nil }
func (d *driver) Sweep(context.Context) error { return nil }
func (d *driver) Close() error                { return nil }

func (d *driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if spec.Unbound && !d.Stems {
		return nil, fault.New(fault.Unsupported, "Unbound", "the test's sandboxes can't be bound")
	}
	d.Created.Add(1)
	return &box{world: (*World)(d), spec: spec, gone: make(chan struct{})}, nil
}

type box struct {
	world  *World
	spec   sandbox.Spec
	frozen atomic.Bool
	once   sync.Once
	gone   chan struct{}
}

var (
	_ sandbox.Binder  = (*box)(nil)
	_ sandbox.Freezer = (*box)(nil)
)

var (
	errNoProcess = errors.New("the test's sandbox runs no process")
	errStuck     = errors.New("the test's sandbox is stuck")
	errFrozen    = errors.New("the test's sandbox is frozen")
)

func (b *box) ID() string { return b.spec.ID }
func (b *box) Listen(ctx context.Context, _ string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
}

func (b *box) Start(context.Context, sandbox.Command) (sandbox.Process, error) {
	return nil, errNoProcess
}

func (b *box) Usage() (sandbox.Usage, error) {
	u := sandbox.Usage{MemoryBytes: b.world.Memory.Load(), PeakMemoryBytes: 42 << 20, PIDs: int(b.world.PIDs.Load())}
	if b.world.OOM.Load() {
		u.OOMKills = 1
	}
	return u, nil
}

func (b *box) Bind(context.Context, sandbox.Binding) error {
	if b.world.Bind != nil {
		if err := b.world.Bind(); err != nil {
			return err
		}
	}
	b.world.Bound.Add(1)
	return nil
}

func (b *box) Freeze(context.Context) error {
	if b.frozen.CompareAndSwap(false, true) {
		b.world.Frozen.Add(1)
	}
	return nil
}

func (b *box) Thaw() error {
	if b.frozen.CompareAndSwap(true, false) {
		b.world.Frozen.Add(-1)
	}
	return nil
}

func (b *box) Reclaim(context.Context) error {
	b.world.Reclaimed.Add(1)
	return nil
}

func (b *box) Destroy(context.Context) error {
	if b.world.Stuck.Add(-1) >= 0 {
		return errStuck
	}
	b.once.Do(func() {
		if b.frozen.Load() {
			b.world.Frozen.Add(-1)
		}
		b.world.Destroyed.Add(1)
		close(b.gone)
	})
	return nil
}

type adapter World

var _ runtimeapi.Stemmer = (*adapter)(nil)

func (a *adapter) Mounts(language.Interpreter) []sandbox.Mount { return nil }

func (a *adapter) Launch(_ context.Context, sb sandbox.Sandbox, l runtimeapi.Launch) (runtimeapi.Session, error) {
	return &session{world: (*World)(a), box: sb.(*box), launch: l}, nil
}

func (a *adapter) Binds(*function.Version) bool { return a.Stems }

func (a *adapter) LaunchStem(_ context.Context, sb sandbox.Sandbox, _ string, _ language.Interpreter) (runtimeapi.Stem, error) {
	return &stem{world: (*World)(a), box: sb.(*box)}, nil
}

// stem is a runtime that serves nothing yet.
type stem struct {
	world *World
	box   *box
}

func (s *stem) Ready(context.Context) error { return nil }

func (s *stem) Bind(_ context.Context, l runtimeapi.Launch) (runtimeapi.Session, error) {
	return &session{world: s.world, box: s.box, launch: l}, nil
}

func (s *stem) Done() <-chan struct{} { return s.box.gone }
func (s *stem) Close() error          { return nil }

type session struct {
	world  *World
	box    *box
	launch runtimeapi.Launch

	mu   sync.Mutex
	line []chan struct{} // of the calls without an answer; closed when one may begin
}

var _ runtimeapi.Pipeliner = (*session)(nil)

func (s *session) Ahead() int { return s.world.Ahead }

func (s *session) InvokeInLine(ctx context.Context, inv *invocation.Invocation, begun func()) (*invocation.Result, error) {
	turn := s.queue()
	defer s.answered(turn)
	select {
	case <-turn:
	case <-s.box.gone:
		return nil, runtimeapi.ErrNotBegun
	}
	begun()
	return s.Invoke(ctx, inv)
}

func (s *session) queue() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	turn := make(chan struct{})
	if s.line = append(s.line, turn); len(s.line) <= s.launch.Version.Slots() {
		close(turn)
	}
	return turn
}

func (s *session) answered(turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.line, turn)
	s.line = slices.Delete(s.line, i, i+1)
	if next := s.launch.Version.Slots() - 1; i <= next && len(s.line) > next {
		close(s.line[next])
	}
}

func (s *session) Ready(ctx context.Context) error {
	if s.world.Init == nil {
		return nil
	}
	return s.world.Init(ctx)
}

func (s *session) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	if s.box.frozen.Load() {
		return nil, errFrozen
	}
	if s.world.Handle == nil {
		return &invocation.Result{Payload: inv.Payload}, nil
	}
	return s.world.Handle(ctx, inv, func(text string) {
		s.launch.Output(runtimeapi.Line{Time: time.Now(), Stream: "stdout", Text: []byte(text)})
	})
}

func (s *session) Started() time.Duration { return 0 }

func (s *session) Done() <-chan struct{} { return s.box.gone }
func (s *session) Close() error          { return nil }
