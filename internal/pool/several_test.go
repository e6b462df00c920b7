package pool_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mayfly.dev/mayfly/internal/environment/environmenttest"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/pool"
)

// sleeping is a world whose handler takes a time that can be changed.
func sleeping(d *time.Duration) *environmenttest.World {
	return &environmenttest.World{
		Handle: func(ctx context.Context, _ *invocation.Invocation, _ func(string)) (*invocation.Result, error) {
			select {
			case <-time.After(*d):
				return &invocation.Result{}, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		},
	}
}

func TestAnEnvironmentRunsAsManyCallsAtOnceAsItsVersionSays(t *testing.T) {
	hold := time.Second
	w := sleeping(&hold)
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		v.Concurrency = 4
		began := time.Now()
		done := make(chan pool.Lease)
		leases := make([]pool.Lease, 8)
		for i := range leases {
			leases[i] = acquire(t, s, v)
		}
		for _, l := range leases {
			go func() { use(t, l); done <- l }()
		}
		for range leases {
			<-done
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("8 calls of a second took %s", took)
		}
		if n := w.Created.Load(); n != 2 {
			t.Errorf("%d environments for 8 calls, 4 each, want 2", n)
		}
	})
}

func TestShortCallsWaitInTheirEnvironment(t *testing.T) {
	hold := time.Millisecond
	w := sleeping(&hold)
	w.Ahead = 8
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		for range 10 { // by now it is known that they are short
			use(t, acquire(t, s, v))
		}
		leases := make(chan pool.Lease, 6)
		for range cap(leases) {
			leases <- acquire(t, s, v) // none waits in the queue
		}
		close(leases)
		began := time.Now()
		done := make(chan struct{})
		n := 0
		for l := range leases {
			n++
			go func() { use(t, l); done <- struct{}{} }()
		}
		for range n {
			<-done
		}
		if took := time.Since(began); took != 6*time.Millisecond {
			t.Errorf("6 calls of 1 ms took %s: they did not run one after the other", took)
		}
		if n := w.Created.Load(); n != 1 {
			t.Errorf("%d environments were started, want 1", n)
		}
	})
}

func TestLongCallsDoNotWaitBehindOthers(t *testing.T) {
	hold := 100 * time.Millisecond
	w := sleeping(&hold)
	w.Ahead = 8
	run(t, w, pool.Config{}, func(t *testing.T, s *pool.Set) {
		v := environmenttest.Version("f")
		for range 10 {
			use(t, acquire(t, s, v))
		}
		began := time.Now()
		for range 6 {
			go func() { use(t, acquire(t, s, v)) }()
		}
		synctest.Wait()
		if n := s.Totals(); n.Busy != 6 {
			t.Errorf("%+v, want 6 busy environments", n)
		}
		time.Sleep(hold)
		synctest.Wait()
		if took := time.Since(began); took != hold || s.Totals().Busy != 0 {
			t.Errorf("after %s: %+v", took, s.Totals())
		}
	})
}
