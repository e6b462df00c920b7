package pool

import (
	"context"
	"time"

	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/fault"
)

// zygoteRetry is how long a version does without a zygote that could not be
// started.
const zygoteRetry = time.Minute

// zygote is the runtime that a pool's further environments are copies of. It is
// guarded by the pool's lock.
type zygote struct {
	*environment.Zygote // nil: there is none
	starting            bool
	off                 bool // the version can't have one
	retryAt             time.Time
	bytes               int64
}

// wantZygote begins to start a zygote, in the background, for a version whose init
// phase is long enough to be worth its memory. It is called when an environment
// has ended a call, so that the first call has gone before. p.mu is held.
func (p *pool) wantZygote(m *member, now time.Time) {
	z := &p.zygote
	if z.Zygote != nil || z.starting || z.off || now.Before(z.retryAt) || p.retired || p.max() == 1 {
		return
	}
	if !p.set.cfg.Factory.Forks(m.Environment) {
		z.off = true
		return
	}
	z.starting = p.set.spawn(p.startZygote)
}

func (p *pool) startZygote() {
	c := &claim{account: &p.account, bytes: p.sizeNow()}
	if err := p.set.gate.take(p.set.ctx, c); err != nil {
		p.zygoteStarted(nil, 0, err)
		return
	}
	z, err := p.set.cfg.Factory.StartZygote(p.set.ctx, p.version)
	p.set.gate.pass(c)
	if err != nil {
		p.set.gate.give(c)
	}
	p.zygoteStarted(z, c.bytes, err)
}

func (p *pool) zygoteStarted(z *environment.Zygote, bytes int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.zygote.starting = false
	switch {
	case err != nil && fault.From(err).Kind == fault.Unsupported:
		p.zygote.off = true
	case err != nil:
		p.zygote.retryAt = time.Now().Add(zygoteRetry)
	default:
		p.zygote.Zygote, p.zygote.bytes = z, bytes
		if p.retired {
			p.dropZygote()
		}
	}
}

// template returns the zygote that a start may copy; nil: there is none.
func (p *pool) template() *environment.Zygote {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.zygote.Zygote != nil && !p.zygote.Alive() {
		p.zygote.retryAt = time.Now().Add(zygoteRetry)
		p.dropZygote()
	}
	return p.zygote.Zygote
}

// dropZygote has the zygote make no more copies: it ends with the last of them. It
// reports whether there was one. p.mu is held.
func (p *pool) dropZygote() bool {
	z, bytes := p.zygote.Zygote, p.zygote.bytes
	if z == nil {
		return false
	}
	p.zygote.Zygote, p.zygote.bytes = nil, 0
	p.set.gate.leaving(bytes)
	p.set.background.Go(func() {
		if err := z.Stop(context.WithoutCancel(p.set.ctx)); err != nil {
			p.set.log.Error("a zygote could not be destroyed", "function", p.version.Function, "err", err)
		}
		p.set.gate.left(&p.account, bytes)
	})
	return true
}

// sizeNow is size for who does not hold p.mu.
func (p *pool) sizeNow() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size()
}
