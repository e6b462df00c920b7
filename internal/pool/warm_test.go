package pool_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/environment/environmenttest"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/pool"
)

// windows is a policy that answers the same for every function.
type windows autoscaler.Windows

func (w windows) Windows(*autoscaler.Histogram) autoscaler.Windows { return autoscaler.Windows(w) }

func TestIdleEnvironmentsAreFrozenAndWoken(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{FreezeAfter: time.Second}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		l := acquire(t, s, v)
		time.Sleep(10 * time.Second)
		if n := w.Frozen.Load(); n != 0 {
			t.Errorf("%d busy environments are frozen", n)
		}
		use(t, l)
		time.Sleep(5 * time.Second)
		if n := w.Frozen.Load(); n != 1 || s.Totals().Frozen != 1 || s.Status("default", "f")[0].State != "frozen" {
			t.Errorf("%d idle environments are frozen, totals %+v, want 1", n, s.Totals())
		}
		use(t, acquire(t, s, v)) // would fail in a sandbox that still is
		time.Sleep(time.Minute)
		if n := w.Reclaimed.Load(); n != 1 {
			t.Errorf("memory was reclaimed %d times, want once for a long sleep", n)
		}
		if n := w.Created.Load(); n != 1 {
			t.Errorf("%d environments were started", n)
		}
	})
}

func TestAnEnvironmentIsThereBeforeTheCallThatIsExpected(t *testing.T) {
	w := &environmenttest.World{}
	policy := windows{PreWarm: 10 * time.Minute, KeepAlive: 5 * time.Minute}
	run(t, w, pool.Config{KeepWarm: policy}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		use(t, acquire(t, s, v))
		called := time.Now()
		for _, c := range []struct {
			at   time.Duration
			want int
		}{{20 * time.Second, 1}, {time.Minute, 0}, {9 * time.Minute, 0}, {11 * time.Minute, 1}, {14 * time.Minute, 1}, {16 * time.Minute, 0}, {time.Hour, 0}} {
			time.Sleep(time.Until(called.Add(c.at)))
			if n := s.Totals().Idle; n != c.want {
				t.Errorf("%s after the call: %d environments, want %d", c.at, n, c.want)
			}
		}
	})
}

func TestAMinimumOfEnvironmentsIsKept(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{KeepWarm: autoscaler.Fixed(time.Minute)}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		v.MinEnvironments = 2
		s.Keep(v)
		synctest.Wait()
		first, second, third := acquire(t, s, v), acquire(t, s, v), acquire(t, s, v)
		if first.ColdStart != "" || second.ColdStart != "" || third.ColdStart == "" {
			t.Errorf("cold starts %q, %q, %q: want two warm calls", first.ColdStart, second.ColdStart, third.ColdStart)
		}
		use(t, first)
		use(t, second)
		third.Release(false, nil)
		time.Sleep(time.Hour)
		if n := s.Totals().Idle; n != 2 {
			t.Errorf("%d environments after an hour, want the minimum of 2", n)
		}
		acquire(t, s, v).Release(false, nil)
		time.Sleep(time.Second)
		if n := s.Totals().Idle; n != 2 {
			t.Errorf("%d environments after one was lost, want 2", n)
		}
	})
}

func TestAMinimumThatCannotBeStartedIsTriedAgainLessAndLessOften(t *testing.T) {
	var tries atomic.Int32
	w := &environmenttest.World{Init: func(context.Context) error { tries.Add(1); return errors.New("broken") }}
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		v.MinEnvironments = 1
		s.Keep(v)
		time.Sleep(10 * time.Minute)
		if n := tries.Load(); n < 5 || n > 30 {
			t.Errorf("%d tries within ten minutes", n)
		}
	})
}

func TestAStemIsBoundWhereThereIsOne(t *testing.T) {
	w := &environmenttest.World{Stems: true}
	run(t, w, pool.Config{StemMemoryBytes: 1 << 30}, func(t *testing.T, s *pool.Set) {
		a, b := environmenttest.Version("a"), environmenttest.Version("b")
		b.Namespace = "elsewhere"
		s.Keep(a)
		time.Sleep(time.Second)
		if n := s.Totals().Stems; n == 0 {
			t.Fatal("no stem is ready for a function that was deployed")
		}
		use(t, acquire(t, s, a))
		if n := w.Bound.Load(); n != 1 {
			t.Errorf("%d stems were bound, want 1", n)
		}
		time.Sleep(time.Second)
		use(t, acquire(t, s, b))
		if n := w.Bound.Load(); n != 2 {
			t.Errorf("%d stems were bound, want the one that took the first one's place, too", n)
		}
		time.Sleep(2 * time.Hour)
		if n := s.Totals().Stems; n != 1 {
			t.Errorf("%d stems stand ready after two quiet hours, want 1", n)
		}
	})
}

func TestAStemThatCannotBeBoundIsReplacedByAWholeStart(t *testing.T) {
	w := &environmenttest.World{Stems: true, Bind: func() error { return errors.New("broken") }}
	run(t, w, pool.Config{StemMemoryBytes: 1 << 30}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		s.Keep(v)
		time.Sleep(time.Second)
		use(t, acquire(t, s, v))
		if n := w.Bound.Load(); n != 0 {
			t.Errorf("%d stems were bound", n)
		}
	})
}

func TestStemsMakeRoom(t *testing.T) {
	w := &environmenttest.World{Stems: true}
	w.Memory.Store(128 << 20)
	run(t, w, pool.Config{MemoryBytes: 256 << 20, StemMemoryBytes: 128 << 20}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		s.Keep(v)
		time.Sleep(time.Second)
		first, second := acquire(t, s, v), acquire(t, s, environmenttest.Version("g"))
		if n := s.Totals().Stems; n != 0 {
			t.Errorf("%d stems are kept although functions need their memory", n)
		}
		use(t, first)
		use(t, second)
	})
}

func TestAColdStartHasItsReason(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{MemoryBytes: 128 << 20, KeepWarm: autoscaler.Fixed(time.Minute)}, func(t *testing.T, s *pool.Set) {
		v, other := environmenttest.Version("f"), environmenttest.Version("other")
		steps := []struct {
			want   string
			before func()
		}{
			{invocation.ReasonFirst, func() {}},
			{"", func() {}},
			{invocation.ReasonExpired, func() { time.Sleep(time.Hour) }},
			{invocation.ReasonEvicted, func() { use(t, acquire(t, s, other)) }},
			{invocation.ReasonCrashed, func() { acquire(t, s, v).Release(false, nil) }},
			{invocation.ReasonUpdated, func() {
				updated := *v
				updated.Revision, updated.Modified = "2", v.Modified.Add(time.Second)
				v = &updated
			}},
		}
		for _, step := range steps {
			step.before()
			l := acquire(t, s, v)
			if l.ColdStart != step.want {
				t.Errorf("cold start %q, want %q", l.ColdStart, step.want)
			}
			use(t, l)
		}
	})
}
