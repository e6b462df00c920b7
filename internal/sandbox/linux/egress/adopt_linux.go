package egress

import (
	"context"
	"errors"
	"net/netip"
	"os"

	"mayfly.dev/mayfly/internal/function"
)

// Adopt is [Manager.Acquire] with a namespace that others have made and in which
// nothing runs yet. It takes over the file, also when it fails.
func (m *Manager) Adopt(ctx context.Context, ns *os.File, e function.Egress) (*Namespace, error) {
	n := &Namespace{m: m, ns: ns}
	if err := n.adopt(ctx, e); err != nil {
		return nil, errors.Join(err, n.Release())
	}
	return n, nil
}

func (n *Namespace) adopt(ctx context.Context, e function.Egress) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	g, err := n.m.grantOf(e)
	if err != nil {
		return err
	}
	n.m.life.RLock()
	defer n.m.life.RUnlock()
	if n.m.closed {
		return errClosed
	}
	if err := n.fit(ctx, g.out && n.m.router != nil); err != nil {
		return err
	}
	return n.open(ctx, g)
}

// fit gives the namespace what one that we make has: lo, and a wire if it may
// have a way out.
func (n *Namespace) fit(ctx context.Context, out bool) (err error) {
	var addr netip.Addr
	if out {
		if addr, err = n.m.addresses.take(); err != nil {
			return err
		}
	}
	err = n.m.slot(ctx, func() error {
		return visit(n.m.outside.ns, n.ns, func() error {
			if err := loopbackUp(); err != nil {
				return err
			}
			if out {
				return n.connect(ctx, n.ns, addr)
			}
			_ = disableIPv6() // as in a namespace that we make
			return nil
		})
	})
	if err != nil && out && n.wire == nil {
		n.m.addresses.free(addr)
	}
	return err
}
