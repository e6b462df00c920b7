package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mayfly.dev/mayfly/internal/environment/environmenttest"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/pool"
)

// importing is a world whose functions import for a while and can be copied.
func importing() *environmenttest.World {
	return &environmenttest.World{
		Zygotes: true,
		Init: func(context.Context) error {
			time.Sleep(150 * time.Millisecond)
			return nil
		},
		Handle: func(context.Context, *invocation.Invocation, func(string)) (*invocation.Result, error) {
			time.Sleep(time.Second)
			return &invocation.Result{}, nil
		},
	}
}

// together has n calls of v run at the same time.
func together(t *testing.T, s *pool.Set, name string, n int) {
	t.Helper()
	v := environmenttest.Version(name)
	v.Modified = time.Time{}
	done := make(chan struct{})
	for range n {
		go func() { use(t, acquire(t, s, v)); done <- struct{}{} }()
	}
	for range n {
		<-done
	}
	time.Sleep(time.Second) // what was begun in the background is done
}

func TestFurtherEnvironmentsAreCopies(t *testing.T) {
	w := importing()
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		together(t, s, "f", 1)
		together(t, s, "f", 4)
		if n := w.Forked.Load(); n != 3 {
			t.Errorf("%d environments are copies, want all but the first", n)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := w.Created.Load() - w.Destroyed.Load(); n != 0 {
			t.Errorf("%d sandboxes are left of a function that nobody calls, the zygote's among them", n)
		}
	})
}

func TestAFunctionThatCannotBeCopiedScalesAllTheSame(t *testing.T) {
	for name, change := range map[string]func(*environmenttest.World){
		"its code forbids it": func(w *environmenttest.World) {
			w.Forkable = func() error { return fault.New(fault.Unsupported, "NotForkable", "it runs threads") }
		},
		"copying fails": func(w *environmenttest.World) { w.Copy = func() error { return errors.New("broken") } },
	} {
		t.Run(name, func(t *testing.T) {
			w := importing()
			change(w)
			run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
				together(t, s, "f", 1)
				together(t, s, "f", 3)
				if n := w.Forked.Load(); n != 0 {
					t.Errorf("%d environments are copies", n)
				}
			})
		})
	}
}

func TestAZygoteMakesRoom(t *testing.T) {
	w := importing()
	run(t, w, pool.Config{MemoryBytes: 300 << 20}, func(t *testing.T, s *pool.Set) {
		together(t, s, "f", 1)
		together(t, s, "g", 1)
		together(t, s, "h", 1)
		together(t, s, "f", 1)
	})
}
