package egress

import (
	"context"
	"errors"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// hold keeps a fresh namespace from sending anything before Bind.
func (n *Namespace) hold() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = true
	if n.wire == nil {
		return nil
	}
	return errors.Join(n.names.block(), n.m.router.assign(n.wire, groupHeld))
}

// Bind gives a namespace of [Manager.AcquireUnbound] the policy e. It succeeds
// once; after an error the namespace sends nothing and can only be released.
func (n *Namespace) Bind(ctx context.Context, e function.Egress) error {
	g, err := n.m.grantOf(e)
	if err != nil {
		return err
	}
	n.m.life.RLock()
	defer n.m.life.RUnlock()
	if n.m.closed {
		return errClosed
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.released:
		return errReleased
	case !n.held:
		return fault.New(fault.Conflict, "NamespaceBound", "the sandbox's network has its policy already")
	}
	n.held = false
	switch {
	case n.wire == nil:
		return nil
	case !g.out:
		return n.shut()
	}
	if err := n.names.unblock(); err != nil {
		return err
	}
	return n.open(ctx, g)
}

// open gives the namespace, in which nobody is yet or which is held, what it is
// granted.
func (n *Namespace) open(ctx context.Context, g grant) error {
	if n.wire == nil {
		return nil
	}
	group := uint32(groupInternet)
	if !g.internet {
		p, err := n.m.policies.take(g.spans)
		if err != nil {
			return err
		}
		n.policy, group = p, p.group
	}
	if err := n.m.router.assign(n.wire, group); err != nil {
		return err
	}
	if g.permit == nil {
		n.names.close()
		n.names = nil
		return nil
	}
	n.names.serve(ctx, g.permit)
	return nil
}

// shut takes away the way out, so that a held namespace is as one that was made
// with lo alone. The address goes at once, and all routes with it: what is sent
// fails as it does without a device. The device itself follows with the next
// burial.
func (n *Namespace) shut() error {
	n.names.close()
	err := visit(n.m.outside.ns, n.ns, n.wire.forgetAddress)
	err = errors.Join(err, n.m.condemn(n.wire, nil))
	n.names, n.wire = nil, nil
	return err
}
