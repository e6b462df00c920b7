package pool

import (
	"context"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
)

const (
	// maxStems bounds the stems of one interpreter.
	maxStems = 32
	// stemDelay lets the start that has taken a stem go before the next stem's.
	stemDelay = 20 * time.Millisecond
	// stemRetry is how long an interpreter has rest whose stem could not be
	// started.
	stemRetry = 30 * time.Second
)

// stems keeps a few runtimes started that belong to no function yet. One is
// started at a time, in the background.
type stems struct {
	set     *Set
	account account

	mu      sync.Mutex
	kinds   map[language.Interpreter]*stemKind
	filling bool
	closed  bool
}

// stemKind is the stems of one interpreter.
type stemKind struct {
	ready    []*environment.Stem
	demand   autoscaler.StemDemand
	refill   autoscaler.Average
	bytes    int64 // that one takes
	deployed bool
	off      bool // there can't be any
	retryAt  time.Time
}

func newStems(s *Set) *stems {
	return &stems{set: s, kinds: make(map[language.Interpreter]*stemKind)}
}

// off reports whether the node keeps none.
func (s *stems) off() bool { return s.set.cfg.StemMemoryBytes == 0 }

// take returns a stem that v can be bound to; nil: there is none.
func (s *stems) take(v *function.Version) *environment.Stem {
	k := s.kindOf(v)
	if k == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k.demand.Observe(time.Now(), k.refill.Value())
	s.fill()
	for len(k.ready) > 0 {
		stem := k.ready[0]
		k.ready = k.ready[1:]
		s.set.gate.adjust(&s.account, -k.bytes)
		if stem.Alive() {
			return stem
		}
		s.stop(stem)
	}
	return nil
}

// expect has a stem ready for a version that was deployed.
func (s *stems) expect(v *function.Version) {
	if k := s.kindOf(v); k != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		k.deployed = true
		s.fill()
	}
}

func (s *stems) kindOf(v *function.Version) *stemKind {
	if s.off() {
		return nil
	}
	in, ok := s.set.cfg.Factory.StemFor(v)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[in]
	if k == nil {
		k = &stemKind{}
		s.kinds[in] = k
	}
	return k
}

// fill begins to start stems if any is missing. s.mu is held.
func (s *stems) fill() {
	if s.filling || s.closed {
		return
	}
	s.filling = s.set.spawn(s.run)
}

// run starts stems until none is missing.
func (s *stems) run() {
	for {
		select {
		case <-time.After(stemDelay):
		case <-s.set.ctx.Done():
		}
		in, k := s.missing(time.Now())
		if k == nil {
			return
		}
		began := time.Now()
		stem, err := s.set.cfg.Factory.StartStem(s.set.ctx, in)
		s.started(k, stem, err, time.Since(began))
	}
}

// missing returns an interpreter that has too few stems; nil: there is none, and
// run ends.
func (s *stems) missing(now time.Time) (language.Interpreter, *stemKind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for in, k := range s.kinds {
		if len(k.ready) < s.wanted(k, now) {
			return in, k
		}
	}
	s.filling = false
	return language.Interpreter{}, nil
}

// wanted is how many stems of a kind there should be. s.mu is held.
func (s *stems) wanted(k *stemKind, now time.Time) int {
	if s.closed || k.off || now.Before(k.retryAt) {
		return 0
	}
	return autoscaler.Stems(&k.demand, now, autoscaler.StemLimits{
		Deployed: k.deployed, Max: maxStems, MemoryBytes: s.set.cfg.StemMemoryBytes, StemBytes: k.bytes,
	})
}

func (s *stems) started(k *stemKind, stem *environment.Stem, err error, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && fault.From(err).Kind == fault.Unsupported:
		k.off = true
	case err != nil:
		k.retryAt = time.Now().Add(stemRetry)
		if !s.closed {
			s.set.log.Warn("a stem environment could not be started: cold starts are slower", "err", err, "retry_in", stemRetry)
		}
	case s.closed:
		s.stop(stem)
	default:
		k.refill.Observe(took)
		if k.bytes == 0 {
			k.bytes = stem.MemoryBytes()
		}
		s.set.gate.adjust(&s.account, k.bytes)
		k.ready = append(k.ready, stem)
	}
}

// tick ends what died or is not needed any more, and begins to start what is.
func (s *stems) tick(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kinds {
		alive := k.ready[:0]
		for _, stem := range k.ready {
			if stem.Alive() && len(alive) < s.wanted(k, now) {
				alive = append(alive, stem)
				continue
			}
			s.set.gate.adjust(&s.account, -k.bytes)
			s.stop(stem)
		}
		clear(k.ready[len(alive):])
		k.ready = alive
	}
	s.fill()
}

// evict ends a stem to make room. It reports whether there was one.
func (s *stems) evict() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kinds {
		if n := len(k.ready); n > 0 {
			stem := k.ready[n-1]
			k.ready = k.ready[:n-1]
			k.retryAt = time.Now().Add(stemRetry) // not at once again
			s.set.gate.adjust(&s.account, -k.bytes)
			s.stop(stem)
			return true
		}
	}
	return false
}

// stop ends a stem in the background.
func (s *stems) stop(stem *environment.Stem) {
	s.set.background.Go(func() {
		if err := stem.Stop(context.WithoutCancel(s.set.ctx)); err != nil {
			s.set.log.Error("a stem environment could not be destroyed", "err", err)
		}
	})
}

// close ends all stems.
func (s *stems) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, k := range s.kinds {
		for _, stem := range k.ready {
			s.set.gate.adjust(&s.account, -k.bytes)
			s.stop(stem)
		}
		k.ready = nil
	}
}

// count returns how many are ready.
func (s *stems) count() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kinds {
		n += len(k.ready)
	}
	return n
}
