package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"mayfly.dev/mayfly/internal/fault"
)

// maxListeners bounds the listeners of one namespace: the platform needs one or
// two.
const maxListeners = 16

// Namespace is the network namespace of one sandbox. Its methods are safe for
// concurrent use.
type Namespace struct {
	m  *Manager
	ns *os.File

	mu   sync.Mutex
	wire *wire // nil: lo alone
	// names answers the sandbox's questions for addresses; nil: nobody does.
	names     *nameServer
	listeners []net.Listener
	policy    *policy // of an allow list
	held      bool    // until Bind
	released  bool
}

var errReleased = fault.New(fault.Unavailable, "NamespaceReleased", "the sandbox's network is gone")

// FD is the descriptor of the namespace, for setns; it is valid until Release.
func (n *Namespace) FD() int { return int(n.ns.Fd()) }

// Listen opens a TCP listener inside the namespace at an address such as
// "127.0.0.1:9001". Release closes it if the caller has not.
func (n *Namespace) Listen(ctx context.Context, address string) (net.Listener, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "ListenAddress",
			"the address %q is not valid: use an IP address and a port, for example 127.0.0.1:9001", address)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.released:
		return nil, errReleased
	case len(n.listeners) >= maxListeners:
		return nil, fault.New(fault.Throttled, "Listeners", "a sandbox has at most %d listeners", maxListeners)
	}
	var l net.Listener
	err := visit(n.m.outside.ns, n.ns, func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in a sandbox: %w", err)
	}
	n.listeners = append(n.listeners, l)
	return l, nil
}

// ResolvConf is what the sandbox's /etc/resolv.conf should hold; it is empty if
// the sandbox's policy offers no names, and then that file should be empty too.
// Before Bind it names the server that most policies will offer: a program that
// reads the file once, at its start, is right afterwards.
func (n *Namespace) ResolvConf() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names == nil {
		return nil
	}
	return []byte("nameserver " + nameServerAddress.Addr().String() + "\n")
}

// Release ends all traffic, closes the listeners and lets the namespace go; the
// kernel frees it when no process and no connection is left in it. It may be
// called twice.
func (n *Namespace) Release() error { return n.release(n.m.retire) }

func (n *Namespace) release(retire func(*wire, *policy) error) error {
	n.mu.Lock()
	if n.released {
		n.mu.Unlock()
		return nil
	}
	n.released = true
	listeners, names, wire, policy := n.listeners, n.names, n.wire, n.policy
	n.listeners = nil
	n.mu.Unlock()

	var errs []error
	for _, l := range listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if names != nil {
		names.close()
	}
	if wire != nil {
		errs = append(errs, retire(wire, policy))
	}
	return errors.Join(append(errs, n.ns.Close())...)
}
