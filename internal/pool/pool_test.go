package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/environment/environmenttest"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs fn with a set of pools in a bubble with its own clock and checks that
// nothing is left at its end.
func run(t *testing.T, w *environmenttest.World, cfg pool.Config, fn func(t *testing.T, s *pool.Set)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if cfg.Factory == nil {
			cfg.Factory = w.Factory()
		}
		if cfg.MemoryBytes == 0 {
			cfg.MemoryBytes = 1 << 40
		}
		if cfg.KeepWarm == nil {
			cfg.KeepWarm = autoscaler.Fixed(time.Hour)
		}
		s := pool.NewSet(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		fn(t, s)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.Balanced(t)
		if used := s.Totals().MemoryBytes; used != 0 {
			t.Errorf("%d bytes of memory are still taken", used)
		}
	})
}

func acquire(t *testing.T, s *pool.Set, v *function.Version) pool.Lease {
	t.Helper()
	l, err := s.Acquire(t.Context(), pool.Demand{Version: v})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// use runs a call in the environment, as dispatch does.
func use(t *testing.T, l pool.Lease) {
	t.Helper()
	result, reusable, err := l.Invoke(t.Context(), environmenttest.Call("r", "f", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	l.Release(reusable, result.Record)
}

func TestAFreeEnvironmentIsUsedAgain(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		first := acquire(t, s, v)
		if first.ColdStart != "first call" {
			t.Errorf("cold start %q, want the first call's", first.ColdStart)
		}
		use(t, first)
		second := acquire(t, s, v)
		if second.Environment != first.Environment || second.ColdStart != "" {
			t.Errorf("the second call got %s (%q), want %s", second.ID, second.ColdStart, first.ID)
		}
		third := acquire(t, s, v)
		if third.Environment == second.Environment || third.ColdStart != "scale-out" {
			t.Errorf("a concurrent call got %s (%q), want one of its own", third.ID, third.ColdStart)
		}
		use(t, second)
		use(t, third)
		if n := w.Created.Load(); n != 2 {
			t.Errorf("%d environments were started, want 2", n)
		}
	})
}

func TestAWaitingCallTakesWhicheverComesFirst(t *testing.T) {
	w := &environmenttest.World{}
	var slow chan struct{} // made in the bubble, whose clock stands still only for its own channels
	inits := 0
	w.Init = func(ctx context.Context) error {
		if inits++; inits == 1 {
			return nil
		}
		select {
		case <-slow:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		slow = make(chan struct{})
		v := environmenttest.Version("f")
		v.Timeout = time.Hour
		first := acquire(t, s, v)
		got := make(chan pool.Lease)
		go func() { got <- acquire(t, s, v) }()
		synctest.Wait() // the second call has begun a start, which hangs
		if n := s.Totals().Starting; n != 1 {
			t.Errorf("%d starts, want 1", n)
		}
		use(t, first)
		second := <-got
		if second.Environment != first.Environment {
			t.Error("the waiting call did not get the freed environment")
		}
		close(slow)
		synctest.Wait()
		if n := s.Totals().Idle; n != 1 {
			t.Errorf("the started environment did not join the pool: %d idle", n)
		}
		use(t, second)
	})
}

func TestIdleEnvironmentsEndWithTheirTime(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{KeepWarm: autoscaler.Fixed(time.Minute)}, func(t *testing.T, s *pool.Set) {
		long, short := environmenttest.Version("long"), environmenttest.Version("short")
		short.IdleTimeout = 10 * time.Second
		use(t, acquire(t, s, long))
		use(t, acquire(t, s, short))
		time.Sleep(30 * time.Second)
		if n := len(s.Status("default", "short")); n != 0 {
			t.Errorf("%d environments outlived their function's idle timeout", n)
		}
		if n := len(s.Status("default", "long")); n != 1 {
			t.Errorf("%d environments, want 1 within the node's idle timeout", n)
		}
		time.Sleep(time.Minute)
		if n := s.Totals().Idle; n != 0 {
			t.Errorf("%d environments outlived the node's idle timeout", n)
		}
	})
}

func TestAFailedStartFailsOneCallOnly(t *testing.T) {
	w := &environmenttest.World{}
	inits := 0
	w.Init = func(context.Context) error {
		if inits++; inits == 1 {
			return errors.New("broken")
		}
		return nil
	}
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		if _, err := s.Acquire(t.Context(), pool.Demand{Version: v}); err == nil {
			t.Fatal("the first start did not fail")
		}
		use(t, acquire(t, s, v))
	})
}

func TestADeadEnvironmentIsReplaced(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		l := acquire(t, s, v)
		l.Release(false, nil)
		if next := acquire(t, s, v); next.Environment == l.Environment {
			t.Error("an environment that must not be used again was")
		} else {
			use(t, next)
		}
	})
}

func TestReplacedVersionsAreRetired(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		old := environmenttest.Version("f")
		busy, idle := acquire(t, s, old), acquire(t, s, old)
		use(t, idle)
		updated := *old
		updated.Revision, updated.Modified = "2", old.Modified.Add(time.Second)
		use(t, acquire(t, s, &updated))
		synctest.Wait()
		if idle.State() != environment.Gone {
			t.Errorf("the idle environment of the old revision is %s", idle.State())
		}
		if busy.State() == environment.Gone {
			t.Error("the busy environment of the old revision was ended during its call")
		}
		if _, err := s.Acquire(t.Context(), pool.Demand{Version: old}); !errors.Is(err, pool.ErrRetired) {
			t.Errorf("acquiring the old revision: %v, want ErrRetired", err)
		}
		use(t, busy)
		synctest.Wait()
		if busy.State() != environment.Gone {
			t.Errorf("after its call the environment of the old revision is %s", busy.State())
		}
	})
}

func TestMemoryIsABudget(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{MemoryBytes: 256 << 20}, func(t *testing.T, s *pool.Set) {
		a, b, c := environmenttest.Version("a"), environmenttest.Version("b"), environmenttest.Version("c")
		first := acquire(t, s, a)
		use(t, first)
		time.Sleep(time.Second)
		second := acquire(t, s, b)
		// The memory is full: c makes room by ending the idle one.
		third := acquire(t, s, c)
		synctest.Wait()
		if first.State() != environment.Gone {
			t.Errorf("the idle environment is %s, want it evicted", first.State())
		}
		// Nothing is idle: a waits, and gives up with its caller.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.Acquire(ctx, pool.Demand{Version: a}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with full memory: %v, want to wait until the deadline", err)
		}
		synctest.Wait()
		if n := s.Totals(); n.Starting != 0 || n.Waiting != 0 {
			t.Errorf("after the caller left: %+v", n)
		}
		// It gets its turn as soon as another is idle.
		got := make(chan pool.Lease)
		go func() { got <- acquire(t, s, a) }()
		synctest.Wait()
		use(t, second)
		use(t, <-got)
		use(t, third)

		huge := environmenttest.Version("huge")
		huge.MemoryMB = 512
		if _, err := s.Acquire(t.Context(), pool.Demand{Version: huge}); !fault.Is(err, fault.Unavailable, "NodeMemory") {
			t.Errorf("more memory than the node has: %v", err)
		}
	})
}

func TestEnvironmentsOfAVersionAreBounded(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{MaxEnvironments: 2}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				l := acquire(t, s, v)
				time.Sleep(time.Second)
				use(t, l)
			})
		}
		calls.Wait()
		if n := w.Created.Load(); n != 2 {
			t.Errorf("%d environments were started, want 2", n)
		}
	})
}

func TestCallersComeAndGo(t *testing.T) {
	w := &environmenttest.World{Init: func(context.Context) error { time.Sleep(20 * time.Millisecond); return nil }}
	run(t, w, pool.Config{MemoryBytes: 4 * 128 << 20}, func(t *testing.T, s *pool.Set) {
		var calls sync.WaitGroup
		for i := range 300 {
			calls.Go(func() {
				v := environmenttest.Version(fmt.Sprintf("f%d", i%7))
				v.Modified = time.Time{}
				time.Sleep(time.Duration(i%50) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%90)*time.Millisecond)
				defer cancel()
				l, err := s.Acquire(ctx, pool.Demand{Version: v})
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					return
				}
				time.Sleep(time.Duration(i%5) * time.Millisecond)
				use(t, l)
			})
		}
		calls.Wait()
		synctest.Wait()
		if n := s.Totals(); n.Busy != 0 || n.Waiting != 0 {
			t.Errorf("after all calls: %+v", n)
		}
	})
}

func TestAClosedSetRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &environmenttest.World{}
		s := pool.NewSet(pool.Config{Factory: w.Factory(), MemoryBytes: 1 << 30, KeepWarm: autoscaler.Fixed(time.Hour)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		busy := acquire(t, s, environmenttest.Version("f"))
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		busy.Release(true, nil)
		if _, err := s.Acquire(t.Context(), pool.Demand{Version: environmenttest.Version("f")}); !fault.Is(err, fault.Unavailable, "Draining") {
			t.Errorf("after the end: %v, want Draining", err)
		}
		w.Balanced(t)
	})
}

func BenchmarkAcquireRelease(b *testing.B) {
	w := &environmenttest.World{}
	s := pool.NewSet(pool.Config{Factory: w.Factory(), MemoryBytes: 1 << 40, KeepWarm: autoscaler.Fixed(time.Hour)})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	v := environmenttest.Version("f")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := s.Acquire(ctx, pool.Demand{Version: v})
			if err != nil {
				b.Error(err)
				return
			}
			l.Release(true, nil)
		}
	})
	cancel()
	<-done
}
