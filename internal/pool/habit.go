package pool

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/invocation"
)

type functionKey struct{ namespace, name string }

// unreserved stands for a function without a reserved concurrency.
const unreserved = -1

// habit is what a set knows of a function beyond the lives of its versions and
// their environments.
type habit struct {
	running  atomic.Int64 // calls that run, of all versions
	reserved atomic.Int64

	mu   sync.Mutex
	idle autoscaler.Histogram
	last time.Time // when the function's last call ended; zero: none has
	gone string    // why the last environment that was lost is no more
	peak int64     // the most memory that an environment has used of late
	// prewarmed says that an environment was started for the call that is expected.
	prewarmed bool
}

func (s *Set) habitOf(namespace, name string) *habit {
	k := functionKey{namespace, name}
	if h, ok := s.habits.Load(k); ok {
		return h.(*habit)
	}
	fresh := &habit{}
	fresh.reserved.Store(unreserved)
	h, _ := s.habits.LoadOrStore(k, fresh)
	return h.(*habit)
}

// reserve takes note of the function's reserved concurrency; nil: it has none.
func (h *habit) reserve(n *int) {
	want := int64(unreserved)
	if n != nil {
		want = int64(*n)
	}
	if h.reserved.Load() != want {
		h.reserved.Store(want)
	}
}

// arrived is called when a call comes while none runs.
func (h *habit) arrived(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.last.IsZero() {
		h.idle.Observe(now.Sub(h.last))
	}
	h.prewarmed = false
}

// ended is called when no call runs any more.
func (h *habit) ended(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = now
}

// lost keeps why an environment is no more; "": nobody has to know.
func (h *habit) lost(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = cmp.Or(reason, h.gone)
}

// reason is why a call finds no environment where there is none.
func (h *habit) reason() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return cmp.Or(h.gone, invocation.ReasonFirst)
}

// The peak of memory fades by 1/peakFades with each call, so that an environment
// which once used much does not count for ever.
const peakFades = 1024

func (h *habit) peaked(bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.peak = max(h.peak-h.peak/peakFades, bytes)
}

// windows says how long the function is kept warm after its last call, and when
// that was.
func (h *habit) windows(policy autoscaler.KeepWarm) (w autoscaler.Windows, last time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return policy.Windows(&h.idle), h.last
}

// prewarm reports, once for each call that is expected, that its environment may
// be started.
func (h *habit) prewarm() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := !h.prewarmed
	h.prewarmed = true
	return first
}

// idleSince is since when an environment counts as idle that has just started: one
// for a call that is expected is kept as if it had run the last.
func (h *habit) idleSince(now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.prewarmed {
		return h.last
	}
	return now
}

// The room that an environment gets beyond what the function is known to use.
const (
	roomBytes = 16 << 20
	roomParts = 4 // a quarter
)

// size is the memory that is set aside for an environment of the version: what
// the function is known to use, with room for more, and at most what it may.
func (p *pool) size() int64 {
	most := int64(p.version.MemoryMB) << 20
	p.habit.mu.Lock()
	defer p.habit.mu.Unlock()
	if p.habit.peak == 0 || p.habit.last.IsZero() {
		return most
	}
	return min(most, p.habit.peak+p.habit.peak/roomParts+roomBytes)
}
