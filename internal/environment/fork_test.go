package environment_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/environment/environmenttest"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

func incubate(t *testing.T, w *environmenttest.World) (*environment.Factory, *environment.Zygote) {
	t.Helper()
	f := w.Factory()
	z, err := f.StartZygote(t.Context(), environmenttest.Version("f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := z.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		w.Balanced(t)
	})
	return f, z
}

func fork(t *testing.T, f *environment.Factory, z *environment.Zygote) *environment.Environment {
	t.Helper()
	e, err := f.Fork(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestCopyServesAsAnyEnvironment(t *testing.T) {
	f, z := incubate(t, &environmenttest.World{Zygotes: true})
	e := fork(t, f, z)
	result, reusable, err := e.Invoke(t.Context(), environmenttest.Call("r1", "f", `1`))
	if err != nil || !reusable || string(result.Payload) != `1` || !result.Record.ColdStart {
		t.Errorf("got %+v, %v, %v", result, reusable, err)
	}
}

func TestZygoteEndsWithTheLastOfItsCopies(t *testing.T) {
	w := &environmenttest.World{Zygotes: true}
	f, z := incubate(t, w)
	a, b := fork(t, f, z), fork(t, f, z)
	stop := func(what interface{ Stop(context.Context) error }, destroyed int64) {
		t.Helper()
		if err := what.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if got := w.Destroyed.Load(); got != destroyed {
			t.Errorf("%d sandboxes are destroyed, want %d", got, destroyed)
		}
	}
	stop(a, 1)
	stop(a, 1) // counts once
	stop(z, 1)
	if z.Alive() {
		t.Error("a stopped zygote is alive")
	}
	if _, err := f.Fork(t.Context(), z); !fault.Is(err, fault.Unavailable, "ZygoteRetired") {
		t.Errorf("a stopped zygote was copied: %v", err)
	}
	stop(b, 3)
	stop(z, 3)
}

func TestZygoteWithoutCopiesEndsAtOnce(t *testing.T) {
	w := &environmenttest.World{Zygotes: true}
	_, z := incubate(t, w)
	if err := z.Stop(t.Context()); err != nil || w.Destroyed.Load() != 1 {
		t.Errorf("%v, %d destroyed", err, w.Destroyed.Load())
	}
}

func TestVersionsThatCantBeCopiedHaveNoZygote(t *testing.T) {
	for name, tt := range map[string]struct {
		world  *environmenttest.World
		slots  int
		reason string
	}{
		"adapter":     {&environmenttest.World{}, 1, "Fork"},
		"concurrency": {&environmenttest.World{Zygotes: true}, 4, "Fork"},
		"user code": {&environmenttest.World{Zygotes: true, Forkable: func() error {
			return fault.New(fault.Unsupported, "NotForkable", "it has 2 threads")
		}}, 1, "NotForkable"},
	} {
		t.Run(name, func(t *testing.T) {
			v := environmenttest.Version("f")
			v.Concurrency = tt.slots
			if _, err := tt.world.Factory().StartZygote(t.Context(), v); !fault.Is(err, fault.Unsupported, tt.reason) {
				t.Errorf("got %v, want %s", err, tt.reason)
			}
			tt.world.Balanced(t)
		})
	}
}

func TestFailureOfInitIsToldOfAZygoteToo(t *testing.T) {
	w := &environmenttest.World{Zygotes: true, Init: func(context.Context) error { return &runtimeapi.InitError{Type: "X", Payload: []byte("{}")} }}
	_, err := w.Factory().StartZygote(t.Context(), environmenttest.Version("f"))
	if _, ok := errors.AsType[*environment.InitError](err); !ok {
		t.Errorf("got %v", err)
	}
	w.Balanced(t)
}

func TestZygoteThatFailsToForkIsRetired(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		alive bool
	}{
		"broken": {errors.New("it does not fork"), false},
		"busy":   {fault.New(fault.Throttled, "SandboxIDs", "no user id is left"), true},
	} {
		t.Run(name, func(t *testing.T) {
			f, z := incubate(t, &environmenttest.World{Zygotes: true, Copy: func() error { return tt.err }})
			if _, err := f.Fork(t.Context(), z); !errors.Is(err, tt.err) {
				t.Errorf("got %v", err)
			}
			if z.Alive() != tt.alive {
				t.Errorf("alive: %t, want %t", z.Alive(), tt.alive)
			}
		})
	}
}

func TestCopiesPayForVersionsThatInitLong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		init  time.Duration
		forks bool
		slots int
		want  bool
	}{
		{"long", time.Second, true, 1, true},
		{"short", time.Millisecond, true, 1, false},
		{"several at once", time.Second, true, 2, false},
		{"other runtime", time.Second, false, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &environmenttest.World{Zygotes: tt.forks}
			e := start(t, w)
			e.Phases.Init = tt.init
			e.Version.Concurrency = tt.slots
			if got := w.Factory().Forks(e); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
