package egress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox"
)

// makers bounds how many namespaces are made at once: the kernel makes devices
// one after the other anyway.
const makers = 2

// graves bounds the wires that wait for their removal.
const graves = 256

// Manager makes the namespaces of a node's sandboxes. Its methods are safe for
// concurrent use.
type Manager struct {
	log       *slog.Logger
	outside   *outside
	addresses *addresses
	forwarder *forwarder

	// router and policies are nil if nothing can be let out; gaps says why.
	router   *router
	policies *policies
	gaps     []sandbox.Gap

	wired, bare *pool
	slots       chan struct{}
	doomed      chan *wire

	stop    context.CancelFunc
	fillers sync.WaitGroup // fill the pools; end with stop
	reaper  sync.WaitGroup // ends with dead
	dead    chan struct{}

	// life is read-locked while the router is used and locked to end that: with
	// its handles closed, the netlink library would act on the node's namespace.
	life   sync.RWMutex
	closed bool
}

// New sets up the node's side of the sandboxes' network, in the network
// namespace of the process, and removes what an earlier start of the node left
// there. That something can't be offered on this machine is not an error: see
// Gaps. The faults are those of the configuration.
func New(cfg Config) (*Manager, error) {
	cfg, err := cfg.fill()
	if err != nil {
		return nil, err
	}
	o, err := openOutside(cfg.NodeID)
	if err != nil {
		return nil, err
	}
	m := &Manager{
		log: cfg.Log, outside: o, forwarder: newForwarder(cfg.Resolvers),
		slots: make(chan struct{}, makers), doomed: make(chan *wire, graves),
		dead: make(chan struct{}),
	}
	if err := o.sweep(); err != nil {
		m.log.Warn("leftovers of an earlier start remain", "err", err)
	}
	if err := o.adopt(); err != nil {
		m.log.Warn("the host's forwarding rules can't be read", "err", err)
	}
	subnet, err := o.freeSubnet(cfg.Subnet)
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	m.addresses = newAddresses(subnet)

	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	if err := m.letOut(ctx, cfg, subnet); err != nil {
		m.gaps = append(m.gaps, gapOf(err))
		m.log.Warn("functions get no outgoing traffic", "err", err)
	} else {
		m.gaps = o.firewallGaps()
	}
	m.start(ctx, cfg.Pool)
	return m, nil
}

// letOut makes the router and its way out. An error leaves neither.
func (m *Manager) letOut(ctx context.Context, cfg Config, subnet netip.Prefix) error {
	r, err := newRouter(ctx, m.outside.ns, m.addresses, subnet, cfg.Flows)
	if err != nil {
		return err
	}
	if err := m.outside.connect(ctx, r, m.addresses); err != nil {
		return errors.Join(err, m.outside.disconnect(), r.close())
	}
	m.router, m.policies = r, newPolicies(r.rules)
	return nil
}

// start begins to fill the pools.
func (m *Manager) start(ctx context.Context, size int) {
	wired, bare := size, min(size, 1)
	if m.router == nil {
		wired, bare = 0, size
	}
	m.wired = newPool(wired, m.log, m.makeWired)
	m.bare = newPool(bare, m.log, m.makeBare)
	for _, p := range []*pool{m.wired, m.bare} {
		m.fillers.Go(func() { p.run(ctx) })
	}
	m.reaper.Go(m.reap)
}

// gapOf says what a missing way out means, why it is missing and what helps.
func gapOf(err error) sandbox.Gap {
	gap := sandbox.Gap{
		What: "Functions can't send any traffic out of their sandbox.",
		Why:  fmt.Sprintf("The sandbox network could not be set up: %v.", err),
		Fix:  "Run the node as root on Linux 5.12 or later with nftables, veth and IPv4 forwarding available.",
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		gap.Why = fmt.Sprintf("The node lacks the right to set up a sandbox network: %v.", err)
		gap.Fix = "Run the node as root, or give it CAP_NET_ADMIN and CAP_SYS_ADMIN and a writable /proc/sys/net."
	}
	return gap
}

// Gaps lists what can't be enforced or offered on this machine.
func (m *Manager) Gaps() []sandbox.Gap { return m.gaps }

// Sweep removes devices and tables of earlier starts of this node that were
// still dying when New looked.
func (m *Manager) Sweep(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return m.outside.sweep()
}

// Acquire returns a namespace with the policy e. Without a way out (see Gaps)
// every policy gives lo alone. Unsupported, reason "NetworkNamespace": this
// process may not make network namespaces at all.
func (m *Manager) Acquire(ctx context.Context, e function.Egress) (*Namespace, error) {
	g, err := m.grantOf(e)
	if err != nil {
		return nil, err
	}
	return m.acquire(ctx, g.out, func(n *Namespace) error { return n.open(ctx, g) })
}

// AcquireUnbound returns a namespace that has no policy before its Bind: until
// then nothing gets out of it, and its name server hears nothing.
func (m *Manager) AcquireUnbound(ctx context.Context) (*Namespace, error) {
	return m.acquire(ctx, true, (*Namespace).hold)
}

// acquire returns a namespace, with a wire if it may have a way out, that
// prepare has made ready.
func (m *Manager) acquire(ctx context.Context, out bool, prepare func(*Namespace) error) (*Namespace, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	if m.closed {
		return nil, errClosed
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	p := m.wired
	if !out || m.router == nil {
		p = m.bare
	}
	n, err := p.take(ctx)
	if err != nil {
		return nil, err
	}
	if err := prepare(n); err != nil {
		return nil, errors.Join(err, n.release(m.condemn))
	}
	return n, nil
}

var errClosed = fault.New(fault.Unavailable, "Closed", "the node is stopping")

// grant is what a policy comes to.
type grant struct {
	// out says that there is a way out.
	out bool
	// spans are the networks that may be reached, without internet, which stands
	// for all that are public.
	spans    []span
	internet bool
	// permit says which resolvers may be asked; nil: none.
	permit func(netip.Addr) bool
}

func (m *Manager) grantOf(e function.Egress) (grant, error) {
	switch e.Mode {
	case function.EgressNone:
		return grant{}, nil
	case function.EgressInternet:
		return grant{out: true, internet: true, permit: func(netip.Addr) bool { return true }}, nil
	case function.EgressAllow:
		list, err := e.Networks()
		if err != nil {
			return grant{}, err
		}
		return grant{out: true, spans: merge(list), permit: m.forwarder.permitted(list)}, nil
	default:
		return grant{}, fault.New(fault.Invalid, "Egress", "the egress mode %q is not known: use none, internet or allow", e.Mode)
	}
}

// makeBare makes a namespace with lo alone.
func (m *Manager) makeBare(ctx context.Context) (*Namespace, error) {
	n := &Namespace{m: m}
	err := m.slot(ctx, func() (err error) {
		n.ns, err = newNamespace(ctx, m.outside.ns, func(*os.File) error {
			// Without a device that leads out, IPv6 is not worth a failure: a read-only
			// /proc/sys is common where nothing can be let out.
			_ = disableIPv6()
			return nil
		})
		return err
	})
	if errors.Is(err, unix.EPERM) {
		return nil, fault.Wrap(err, fault.Unsupported, "NetworkNamespace",
			"the node may not make network namespaces: run it as root or allow it user namespaces")
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

// makeWired makes a namespace that is connected to the router but in no group
// yet, with its name server's sockets open.
func (m *Manager) makeWired(ctx context.Context) (*Namespace, error) {
	addr, err := m.addresses.take()
	if err != nil {
		return nil, err
	}
	n := &Namespace{m: m}
	err = m.slot(ctx, func() (err error) {
		n.ns, err = newNamespace(ctx, m.outside.ns, func(ns *os.File) error { return n.connect(ctx, ns, addr) })
		return err
	})
	if err == nil {
		return n, nil
	}
	if n.names != nil {
		n.names.close()
	}
	if n.wire == nil {
		m.addresses.free(addr)
		return nil, err
	}
	return nil, errors.Join(err, m.condemn(n.wire, nil))
}

// connect does the part of making a namespace that is done inside.
func (n *Namespace) connect(ctx context.Context, ns *os.File, addr netip.Addr) (err error) {
	if err := disableIPv6(); err != nil {
		return err
	}
	if n.wire, err = n.m.router.connect(ns, addr, number(addr)-n.m.addresses.first); err != nil {
		return err
	}
	n.names, err = newNameServer(ctx, n.m.forwarder)
	return err
}

// slot runs do when one of the makers' places is free.
func (m *Manager) slot(ctx context.Context, do func() error) error {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
		return do()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// retire ends a wire's traffic at once and has it removed in the background.
func (m *Manager) retire(w *wire, p *policy) error {
	m.life.RLock()
	defer m.life.RUnlock()
	if m.closed {
		return nil // the router went, and the wire with it
	}
	return m.condemn(w, p)
}

// condemn is retire for those who know that the router is there.
func (m *Manager) condemn(w *wire, p *policy) error {
	err := m.router.condemn(w)
	if p != nil {
		err = errors.Join(err, m.policies.give(p))
	}
	m.doomed <- w
	return err
}

// reap removes retired wires, as many at once as wait, until the manager is
// closed.
func (m *Manager) reap() {
	for {
		select {
		case w := <-m.doomed:
			m.bury(w)
		case <-m.dead:
			return
		}
	}
}

// bury removes a retired wire and those that wait behind it.
func (m *Manager) bury(w *wire) {
	batch := []*wire{w}
	for waiting := true; waiting; {
		select {
		case w := <-m.doomed:
			batch = append(batch, w)
		default:
			waiting = false
		}
	}
	if err := m.router.bury(); err != nil {
		m.log.Warn("devices of sandboxes were not removed", "count", len(batch), "err", err)
		return // their addresses stay out of use
	}
	for _, w := range batch {
		m.addresses.free(w.address)
	}
}

// Close removes the router, the uplink and the tables. Namespaces must be
// released first. It may be called twice.
func (m *Manager) Close() error {
	m.stop()
	m.fillers.Wait()
	m.life.Lock()
	defer m.life.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	close(m.dead)
	m.reaper.Wait()
	var err error
	if m.router != nil {
		err = m.router.close()
	}
	return errors.Join(err, m.outside.close())
}
