package pool

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
)

// pool holds the environments of one revision of one version. An arriving call
// takes an environment that has room (see choose.go); with none it joins a
// first-in-first-out queue and is served by whichever comes first, a freed
// environment or one that is being started.
type pool struct {
	set     *Set
	version *function.Version
	habit   *habit
	account account

	mu      sync.Mutex
	retired bool
	idle    []*member // the one freed last is the last
	busy    []*member
	waiters []*waiter // the one that came first is the first
	starts  []*start
	zygote  zygote
	alarm   *time.Timer // set while calls wait for what no event may bring
	armed   bool
	pause   time.Duration // until the alarm
	retryAt time.Time     // after a failed start that no call waited for
	backoff time.Duration

	// What is known of calls and starts.
	service, startTime autoscaler.Average
	cpu                autoscaler.CPUShare
	slowest            time.Duration // of late; it fades
	slow               float64       // the share of calls that are not short, of late
	delay              float64       // for a processor, on average, in seconds
	samples            int
	released           time.Time // when a call ended last, or the first began
}

// member is an environment of a pool, guarded by the pool's lock.
type member struct {
	*environment.Environment
	calls     int // that hold it
	since     time.Time
	charge    int64 // memory set aside for it
	account   *account
	priority  float64
	gone      bool // it is not in the pool any more
	reclaimed bool
}

// ErrRetired says that the version's environments have been retired while the
// call waited: the caller looks the version up again.
var ErrRetired = errors.New("the version was replaced")

func newPool(s *Set, v *function.Version) *pool {
	return &pool{set: s, version: v, habit: s.habitOf(v.Namespace, v.Function), account: account{namespace: v.Namespace}}
}

// acquire returns an environment in which the caller may run one call.
func (p *pool) acquire(ctx context.Context, d Demand) (Lease, error) {
	p.habit.reserve(d.Reserved)
	now := time.Now()
	p.mu.Lock()
	if p.retired {
		p.mu.Unlock()
		return Lease{}, ErrRetired
	}
	if len(p.busy) == 0 && len(p.waiters) == 0 {
		p.habit.arrived(now)
	}
	limit := noLimit
	if len(p.waiters) == 0 {
		if limit = p.set.enter(p.habit); limit == noLimit {
			if m := p.choose(now); m != nil {
				p.lend(m, now)
				p.mu.Unlock()
				return Lease{Environment: m.Environment, pool: p, member: m}, nil
			}
			p.set.exit(p.habit)
		}
	}
	w, err := p.join(d, limit, now)
	p.mu.Unlock()
	if err != nil {
		return Lease{}, err
	}
	return p.await(ctx, w, d)
}

// lend gives a member to one more call. p.mu is held.
func (p *pool) lend(m *member, now time.Time) {
	if p.released.IsZero() {
		p.released = now
	}
	if m.calls == 0 {
		p.busy = append(p.busy, m)
		p.set.busy.Add(1)
	}
	m.calls++
	m.reclaimed = false
}

// release takes an environment back from a call.
func (p *pool) release(m *member, reusable bool, r *invocation.Record) {
	now := time.Now()
	p.set.exit(p.habit)
	p.mu.Lock()
	m.calls--
	p.released = now
	if r != nil {
		p.learn(r)
	}
	if m.calls == 0 {
		p.set.busy.Add(-1)
		p.busy = without(p.busy, m)
	}
	switch {
	case m.gone:
		if m.calls == 0 {
			p.set.stop(m)
		}
	case !reusable || !m.Alive():
		p.lose(m, invocation.ReasonCrashed)
	case m.calls > 0:
	case p.retired:
		p.lose(m, invocation.ReasonUpdated)
	case p.set.gate.owes(&p.account):
		p.lose(m, invocation.ReasonEvicted)
	default:
		p.rest(m, now)
		p.wantZygote(m, now)
	}
	p.next(now)
}

// next gives what was freed to the calls that wait, in this pool or in one whose
// turn it is. p.mu is held, and freed.
func (p *pool) next(now time.Time) {
	s := p.set
	others := s.turns.waiting()
	if others && len(p.waiters) > 0 {
		s.turns.push(p)
	} else {
		p.serve(now)
	}
	p.scale(now)
	retired := p.retired
	p.mu.Unlock()
	if others {
		s.takeTurns()
	}
	if retired {
		s.serveSuccessor(p)
	}
}

// rest lays a member aside. p.mu is held.
func (p *pool) rest(m *member, now time.Time) {
	m.since = now
	m.priority = p.set.priority(m.Calls(), p.startTime.Value(), m.charge)
	p.idle = append(p.idle, m)
	if len(p.busy) == 0 {
		p.habit.ended(now)
	}
	p.set.gate.nudge()
}

// lose takes a member out of the pool and ends it. p.mu is held; the member is in
// idle or busy no more, or is busy with calls that it runs to their ends.
func (p *pool) lose(m *member, reason string) {
	m.gone = true
	p.habit.lost(reason)
	if m.calls > 0 && p.version.Slots() > 1 && m.Alive() {
		return // the last of its calls ends it
	}
	p.set.stop(m)
}

// serve gives the calls that wait what has room for them: one at a time where other
// pools wait for their turn. It reports whether the node has no room for more. p.mu
// is held.
func (p *pool) serve(now time.Time) (full bool) {
	for len(p.waiters) > 0 {
		switch p.set.enter(p.habit) {
		case nodeLimit:
			p.set.turns.push(p)
			return true
		case reservedLimit:
			return false
		case noLimit:
		}
		m := p.choose(now)
		if m == nil {
			p.set.exit(p.habit)
			return false
		}
		p.lend(m, now)
		p.pop().grant <- grant{member: m}
		if len(p.waiters) > 0 && p.set.turns.waiting() {
			p.set.turns.push(p)
			return false
		}
	}
	return false
}

// delays is how often a call waits for a processor where its own process does so
// once: the node has to be given one, too, to take the answer and to hand over the
// next call.
const delays = 3

// learn takes in how a call went. p.mu is held.
func (p *pool) learn(r *invocation.Record) {
	waited := delays * r.Delay
	work := max(r.Duration-waited, min(r.CPU, r.Duration))
	p.samples++
	p.service.Observe(work)
	p.delay += (r.Delay.Seconds() - p.delay) / slowFades
	p.cpu.Observe(r.CPU+waited, r.Duration, int(p.set.busy.Load()), p.set.cores)
	p.slowest = max(p.slowest-p.slowest/slowestFades, work)
	p.slow -= p.slow / slowFades
	if work > p.short() {
		p.slow += 1.0 / slowFades
	}
	p.habit.peaked(r.PeakMemoryBytes)
}

// retire ends the pool: idle environments stop now, busy ones with their calls,
// waiting calls are told to look for the version again.
func (p *pool) retire(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	for _, w := range p.waiters {
		p.set.queued.Add(-w.bytes)
		w.grant <- grant{err: cause}
	}
	p.waiters = nil
	p.callOff(0)
	for _, m := range p.idle {
		p.lose(m, invocation.ReasonUpdated)
	}
	p.idle = nil
	p.dropZygote()
	if p.armed {
		p.alarm.Stop()
	}
}

// kill stops the busy environments of a retired pool.
func (p *pool) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.busy {
		p.set.stop(m)
	}
}

// empty reports whether a retired pool has nothing left to do.
func (p *pool) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.retired && len(p.busy) == 0 && len(p.starts) == 0
}

// without returns list without m, in another order.
func without(list []*member, m *member) []*member {
	if i := slices.Index(list, m); i >= 0 {
		last := len(list) - 1
		list[i], list[last] = list[last], nil
		return list[:last]
	}
	return list
}
