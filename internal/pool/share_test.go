package pool_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/environment/environmenttest"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/pool"
)

// flood has n calls of v come at once, each holding its environment for a time.
// Calls that are refused are left out.
func flood(t *testing.T, s *pool.Set, v *function.Version, n int, hold time.Duration) *sync.WaitGroup {
	t.Helper()
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			l, err := s.Acquire(t.Context(), pool.Demand{Version: v})
			if err != nil {
				return
			}
			time.Sleep(hold)
			l.Release(true, nil)
		})
	}
	synctest.Wait()
	return &calls
}

// waited returns how long a call of v waits for an environment.
func waited(t *testing.T, s *pool.Set, v *function.Version) time.Duration {
	t.Helper()
	began := time.Now()
	l := acquire(t, s, v)
	took := time.Since(began)
	use(t, l)
	return took
}

func TestTheNodesConcurrencyIsGivenOutInTurns(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{MaxConcurrency: 4}, func(t *testing.T, s *pool.Set) {
		calls := flood(t, s, environmenttest.Version("noisy"), 40, time.Second)
		other := environmenttest.Version("other")
		other.Namespace = "elsewhere"
		more := flood(t, s, other, 40, time.Second)
		if took := waited(t, s, environmenttest.Version("quiet")); took > 2*time.Second {
			t.Errorf("a quiet function waited for %s beside two that have 40 calls of a second each", took)
		}
		calls.Wait()
		more.Wait()
		if n := s.Totals(); n.Waiting != 0 {
			t.Errorf("calls are left: %+v", n)
		}
	})
}

func TestMemoryIsLeftForFunctionsWithoutAny(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{MemoryBytes: 10 * 128 << 20}, func(t *testing.T, s *pool.Set) {
		calls := flood(t, s, environmenttest.Version("noisy"), 40, time.Minute)
		if n := s.Totals().Busy; n != 9 {
			t.Errorf("%d environments of the noisy function, want all but a tenth of the memory used", n)
		}
		if took := waited(t, s, environmenttest.Version("quiet")); took != 0 {
			t.Errorf("the quiet function's first call waited for %s", took)
		}
		calls.Wait()
	})
}

func TestTheNamespaceWithTheLeastMemoryGoesFirst(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{MemoryBytes: 10 * 128 << 20}, func(t *testing.T, s *pool.Set) {
		noisy, quiet := environmenttest.Version("noisy"), environmenttest.Version("quiet")
		quiet.Namespace = "elsewhere"
		first := acquire(t, s, quiet)
		calls := flood(t, s, noisy, 40, time.Minute)
		// The quiet namespace has one environment and wants a second: it waits for
		// the next that is given back and not for the whole flood.
		if took := waited(t, s, quiet); took > time.Minute {
			t.Errorf("the second environment of the quiet namespace took %s", took)
		}
		use(t, first)
		calls.Wait()
	})
}

func TestAQueueIsBounded(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{MaxEnvironments: 1, MaxQueue: 3}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		first := acquire(t, s, v)
		calls := flood(t, s, v, 3, time.Second)
		_, err := s.Acquire(t.Context(), pool.Demand{Version: v})
		if !fault.Is(err, fault.Throttled, "QueueFull") || fault.From(err).RetryAfter == 0 {
			t.Errorf("beyond the queue: %v, want QueueFull with a time to wait", err)
		}
		if took := waited(t, s, environmenttest.Version("other")); took != 0 {
			t.Errorf("another function waited for %s", took)
		}
		use(t, first)
		calls.Wait()
	})
}

func TestWaitingPayloadsAreBounded(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{MaxEnvironments: 1}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		l := acquire(t, s, v)
		if _, err := s.Acquire(t.Context(), pool.Demand{Version: v, Bytes: 2 << 30}); !fault.Is(err, fault.Throttled, "QueueFull") {
			t.Errorf("a payload of 2 GiB that would have to wait: %v", err)
		}
		use(t, l)
	})
}

func TestACallWaitsForItsTimeAlone(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{MaxEnvironments: 1, QueueTimeout: 30 * time.Second}, func(t *testing.T, s *pool.Set) {
		own, node := environmenttest.Version("own"), environmenttest.Version("node")
		own.QueueTimeout = 2 * time.Second
		for v, want := range map[*function.Version]time.Duration{own: 2 * time.Second, node: 30 * time.Second} {
			l := acquire(t, s, v)
			began := time.Now()
			_, err := s.Acquire(t.Context(), pool.Demand{Version: v})
			if !fault.Is(err, fault.Throttled, "QueueTimeout") || time.Since(began) != want {
				t.Errorf("%s: %v after %s, want QueueTimeout after %s", v.Function, err, time.Since(began), want)
			}
			use(t, l)
		}
	})
}

func TestAReservedConcurrencyOfNoneRefusesAtOnce(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		none := 0
		began := time.Now()
		_, err := s.Acquire(t.Context(), pool.Demand{Version: environmenttest.Version("f"), Reserved: &none})
		if !fault.Is(err, fault.Throttled, "ReservedConcurrency") || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestAHastyCallIsRefusedBehindOneThatWillRun(t *testing.T) {
	w := &environmenttest.World{Init: func(context.Context) error { time.Sleep(50 * time.Millisecond); return nil }}
	for name, c := range map[string]struct {
		cfg      pool.Config
		reserved *int
		reason   string
	}{
		"by the function": {reserved: new(1), reason: "ReservedConcurrency"},
		"by the node":     {cfg: pool.Config{MaxConcurrency: 1}, reason: "NodeConcurrency"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, w, c.cfg, func(t *testing.T, s *pool.Set) {
				v := environmenttest.Version("f")
				d := pool.Demand{Version: v, Reserved: c.reserved, FailFast: true}
				first := make(chan pool.Lease)
				go func() {
					l, err := s.Acquire(t.Context(), d)
					if err != nil {
						t.Error(err)
					}
					first <- l
				}()
				synctest.Wait() // it waits for its cold start
				if _, err := s.Acquire(t.Context(), d); !fault.Is(err, fault.Throttled, c.reason) {
					t.Errorf("beside a call that is about to run: %v, want %s", err, c.reason)
				}
				use(t, <-first)
			})
		})
	}
}

func TestTheReservedConcurrencyHoldsAcrossAnUpdate(t *testing.T) {
	w := &environmenttest.World{}
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		one := 1
		old := environmenttest.Version("f")
		busy, err := s.Acquire(t.Context(), pool.Demand{Version: old, Reserved: &one})
		if err != nil {
			t.Fatal(err)
		}
		updated := *old
		updated.Revision, updated.Modified = "2", old.Modified.Add(time.Second)
		got := make(chan pool.Lease)
		go func() {
			l, err := s.Acquire(t.Context(), pool.Demand{Version: &updated, Reserved: &one})
			if err != nil {
				t.Error(err)
			}
			got <- l
		}()
		synctest.Wait()
		if n := s.Totals().Waiting; n != 1 {
			t.Errorf("%d calls wait, want that of the new version beside the old one's", n)
		}
		use(t, busy)
		use(t, <-got)
	})
}

func TestAMachineShortOfMemoryEndsIdleEnvironments(t *testing.T) {
	w := &environmenttest.World{}
	var free atomic.Int64
	free.Store(1 << 40)
	cfg := pool.Config{KeepWarm: autoscaler.Fixed(time.Hour), Available: func() (int64, error) { return free.Load(), nil }}
	run(t, w, cfg, func(t *testing.T, s *pool.Set) {
		use(t, acquire(t, s, environmenttest.Version("f")))
		time.Sleep(time.Minute)
		if n := s.Totals().Idle; n != 1 {
			t.Fatalf("%d idle environments, want 1", n)
		}
		free.Store(1)
		time.Sleep(time.Second)
		if n := s.Totals().Idle; n != 0 {
			t.Errorf("%d idle environments are kept on a machine without memory", n)
		}
	})
}
