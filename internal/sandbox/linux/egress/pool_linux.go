package egress

import (
	"context"
	"log/slog"
	"time"
)

// refillDelay is about how long a sandbox takes to start.
const refillDelay = 5 * time.Millisecond

// pool keeps a few namespaces ready.
type pool struct {
	make  func(context.Context) (*Namespace, error)
	ready chan *Namespace
	log   *slog.Logger
}

func newPool(size int, log *slog.Logger, mk func(context.Context) (*Namespace, error)) *pool {
	return &pool{make: mk, ready: make(chan *Namespace, size), log: log}
}

// run keeps the pool full until ctx is done, and releases what is left then.
func (p *pool) run(ctx context.Context) {
	defer p.drain()
	failing := false
	for cap(p.ready) > 0 && ctx.Err() == nil {
		n, err := p.make(ctx)
		if err != nil {
			if !failing && ctx.Err() == nil {
				p.log.WarnContext(ctx, "no network namespaces can be kept ready", "err", err)
			}
			failing = true
			select {
			case <-ctx.Done():
			case <-time.After(retry):
			}
			continue
		}
		failing = false
		p.put(ctx, n)
	}
}

// put adds a namespace when there is room. If one had to be taken first, it
// leaves the machine to the start that took it for a moment.
func (p *pool) put(ctx context.Context, n *Namespace) {
	select {
	case p.ready <- n:
		return
	default:
	}
	select {
	case p.ready <- n:
	case <-ctx.Done():
		p.release(n)
		return
	}
	select {
	case <-time.After(refillDelay):
	case <-ctx.Done():
	}
}

// take returns a namespace that is ready, or makes one.
func (p *pool) take(ctx context.Context) (*Namespace, error) {
	select {
	case n := <-p.ready:
		return n, nil
	default:
		return p.make(ctx)
	}
}

func (p *pool) drain() {
	for {
		select {
		case n := <-p.ready:
			p.release(n)
		default:
			return
		}
	}
}

func (p *pool) release(n *Namespace) {
	if err := n.Release(); err != nil {
		p.log.Warn("a spare network namespace was not released", "err", err)
	}
}
