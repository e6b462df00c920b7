package pool

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
)

const (
	// retryAfter is what a refused caller is told to wait.
	retryAfter = time.Second
	// maxQueuedBytes bounds what the payloads of all waiting calls take.
	maxQueuedBytes = 1 << 30
	// extension is how much longer a call waits whose environment is being started
	// when its time is over.
	extension = time.Second
)

// waiter is a call in the queue. grant has room for one.
type waiter struct {
	grant  chan grant
	since  time.Time
	reason string // of its cold start, if it has one
	bytes  int64
}

type grant struct {
	member *member
	err    error
}

// join puts a call into the queue; limit is what kept it from running. p.mu is
// held.
func (p *pool) join(d Demand, limit limit, now time.Time) (*waiter, error) {
	if d.FailFast && limit == noLimit {
		limit = p.limitBehind(d)
	}
	never := limit == reservedLimit && *d.Reserved == 0
	if limit != noLimit && d.FailFast || never {
		return nil, p.refusal(limit)
	}
	if most := p.set.cfg.MaxQueue; most > 0 && len(p.waiters) >= most {
		return nil, throttled("QueueFull", "%d invocations of the function %s wait already, its limit: try again in a moment, or raise the node's setting max_queue", most, p.version.Function)
	}
	bytes := int64(d.Bytes)
	if p.set.queued.Add(bytes) > maxQueuedBytes {
		p.set.queued.Add(-bytes)
		return nil, throttled("QueueFull", "the payloads of waiting invocations take all the memory that they may: try again in a moment")
	}
	w := &waiter{grant: make(chan grant, 1), since: now, reason: p.reason(), bytes: bytes}
	p.waiters = append(p.waiters, w)
	if limit == nodeLimit {
		p.set.turns.push(p)
	}
	p.scale(now)
	return w, nil
}

// limitBehind is what keeps a call from running once those that wait do. p.mu is
// held.
func (p *pool) limitBehind(d Demand) limit {
	waiting := int64(len(p.waiters))
	if d.Reserved != nil && p.habit.running.Load()+waiting >= int64(*d.Reserved) {
		return reservedLimit
	}
	if most := int64(p.set.cfg.MaxConcurrency); most > 0 && p.set.running.Load()+waiting >= most {
		return nodeLimit
	}
	return noLimit
}

// reason says why a call that arrives now finds no environment. p.mu is held.
func (p *pool) reason() string {
	if len(p.busy)+len(p.idle)+len(p.waiters) > 0 {
		return invocation.ReasonScaleOut
	}
	return p.habit.reason()
}

// await waits until the call is served, refused or given up.
func (p *pool) await(ctx context.Context, w *waiter, d Demand) (Lease, error) {
	timeout := d.Version.QueueTimeout
	if timeout == 0 {
		timeout = p.set.cfg.QueueTimeout
	}
	var over <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		over = timer.C
	}
	for {
		select {
		case g := <-w.grant:
			if g.err != nil {
				return Lease{}, g.err
			}
			l := Lease{Environment: g.member.Environment, pool: p, member: g.member}
			if g.member.Calls() == 0 {
				l.ColdStart = w.reason
			}
			return l, nil
		case <-ctx.Done():
			p.leave(w)
			return Lease{}, context.Cause(ctx)
		case <-over:
			if p.starting(w) {
				over = time.After(extension)
				continue
			}
			err := p.tooLong(timeout)
			p.leave(w)
			return Lease{}, err
		}
	}
}

// starting reports whether a start that runs is for the waiter.
func (p *pool) starting(w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	running := 0
	for _, s := range p.starts {
		if s.running {
			running++
		}
	}
	i := slices.Index(p.waiters, w)
	return i < 0 || i < running*p.version.Slots()
}

// leave takes a waiter whose caller has gone out of the queue. If it was served
// at that very moment, its environment goes to the next.
func (p *pool) leave(w *waiter) {
	p.mu.Lock()
	if i := slices.Index(p.waiters, w); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
		p.set.queued.Add(-w.bytes)
		p.scale(time.Now())
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	if g := <-w.grant; g.member != nil {
		p.release(g.member, true, nil)
	}
}

// pop takes the first waiter. p.mu is held.
func (p *pool) pop() *waiter {
	w := p.waiters[0]
	p.waiters = slices.Delete(p.waiters, 0, 1)
	p.set.queued.Add(-w.bytes)
	return w
}

// tooLong words what a call has waited for in vain.
func (p *pool) tooLong(waited time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := p.set.enter(p.habit)
	if limit != noLimit {
		return p.refusal(limit)
	}
	p.set.exit(p.habit)
	if len(p.starts) > 0 {
		return throttled("NodeMemory", "no environment became free within %s: the node's memory for functions is in use", waited)
	}
	return throttled("QueueTimeout", "no environment of the function %s became free within %s: all of them run other invocations", p.version.Function, waited)
}

// refusal words a limit that was met. p.mu is held.
func (p *pool) refusal(l limit) error {
	if l == reservedLimit {
		return throttled("ReservedConcurrency", "the function %s is at its reserved concurrency of %d", p.version.Function, p.habit.reserved.Load())
	}
	return throttled("NodeConcurrency", "this node runs %d invocations, its limit: try again in a moment or raise the node's setting max_concurrency", p.set.cfg.MaxConcurrency)
}

func throttled(reason, detail string, args ...any) error {
	return &fault.Error{Kind: fault.Throttled, Reason: reason, RetryAfter: retryAfter, Detail: fmt.Sprintf(detail, args...)}
}
