package linux

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox"
)

// loopbackOnly is the network without a [Network]: each namespace has a loopback
// interface and nothing else. With userNS each is inside a user namespace of its
// own, which needs no root.
type loopbackOnly struct {
	userNS bool
	stock  *stock[*namespace]
}

var _ Network = (*loopbackOnly)(nil)

// stockSize is how many namespaces and cgroups are kept ready.
const stockSize = 8

func newLoopbackOnly(userNS bool, log *slog.Logger) *loopbackOnly {
	l := &loopbackOnly{userNS: userNS}
	l.stock = newStock(stockSize, l.acquire, (*namespace).Release, log)
	return l
}

func (*loopbackOnly) Gaps() []sandbox.Gap {
	return []sandbox.Gap{{
		What: "Functions have no outgoing traffic, whatever their egress policy says.",
		Why:  "Virtual interfaces and address translation need root.",
		Fix:  "Run the node as root.",
	}}
}

func (*loopbackOnly) Sweep(context.Context) error { return nil }
func (l *loopbackOnly) Close() error              { return l.stock.close() }

// Acquire returns a namespace; the policy does not matter to it.
func (l *loopbackOnly) Acquire(context.Context, function.Egress) (Namespace, error) {
	n, err := l.stock.take()
	if err != nil {
		return nil, err
	}
	return n, nil
}

// AcquireUnbound is Acquire: no policy lets anything out.
func (l *loopbackOnly) AcquireUnbound(ctx context.Context) (Namespace, error) {
	return l.Acquire(ctx, function.Egress{})
}

func (l *loopbackOnly) acquire() (*namespace, error) {
	s := new(script)
	// The process shares our table of descriptors, so that what it opens stays.
	p := process{flags: unix.CLONE_FILES | unix.CLONE_NEWNET}
	n := &namespace{user: newSlot(), net: newSlot()}
	if l.userNS {
		p.flags |= unix.CLONE_NEWUSER
		mapIDs(s)
		s.do("open the user namespace", unix.SYS_OPENAT, atFDCWD, s.refs.cstring("/proc/self/ns/user"),
			unix.O_RDONLY|unix.O_CLOEXEC, 0).save = n.user
	}
	s.loopbackUp()
	s.do("open the network namespace", unix.SYS_OPENAT, atFDCWD, s.refs.cstring("/proc/self/ns/net"),
		unix.O_RDONLY|unix.O_CLOEXEC, 0).save = n.net
	if err := s.finish(p); err != nil {
		return nil, errors.Join(fmt.Errorf("make a network namespace: %w", err), n.Release())
	}
	return n, nil
}

// innerID is the one user and group id of a user namespace.
const innerID = 1000

// mapIDs makes the process's user namespace know our own user and group.
func mapIDs(s *script) {
	for _, f := range []struct{ name, content string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("%d %d 1", innerID, os.Geteuid())},
		{"gid_map", fmt.Sprintf("%d %d 1", innerID, os.Getegid())},
	} {
		name := "/proc/self/" + f.name
		fd := s.open(name, unix.O_WRONLY, 0)
		s.write(name, fd, f.content)
		s.closeSlot(name, fd)
	}
}

// namespace is a network namespace, with the user namespace that it belongs to
// if that isn't ours.
type namespace struct {
	mu        sync.Mutex // held while the descriptors are in use
	user, net slot
	released  bool
}

func (n *namespace) FD() int            { return fdOf(n.net) }
func (n *namespace) ResolvConf() []byte { return nil }

// Bind does nothing: there is no way out in any case.
func (n *namespace) Bind(context.Context, function.Egress) error { return nil }

func fdOf(s slot) int                    { return int(*s) }
func (n *namespace) userFD() (int, bool) { return fdOf(n.user), fdOf(n.user) >= 0 }

func (n *namespace) Release() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.released {
		return nil
	}
	n.released = true
	return errors.Join(closeFD(n.user), closeFD(n.net))
}

func closeFD(s slot) error {
	if fdOf(s) < 0 {
		return nil
	}
	return unix.Close(fdOf(s))
}

// Listen makes the socket in a process that enters the namespace for it, and
// shares our table of descriptors.
func (n *namespace) Listen(_ context.Context, where string) (net.Listener, error) {
	sockaddr, size, err := inet4(where)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.released {
		return nil, fmt.Errorf("listen at %s: %w", where, net.ErrClosed)
	}
	s, fd := new(script), newSlot()
	if user, ok := n.userFD(); ok {
		s.do("enter the user namespace", unix.SYS_SETNS, uintptr(user), unix.CLONE_NEWUSER)
	}
	s.do("enter the network namespace", unix.SYS_SETNS, uintptr(n.FD()), unix.CLONE_NEWNET)
	s.do("open a socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0).save = fd
	s.do("bind to "+where, unix.SYS_BIND, 0, address(&s.refs, sockaddr), size).load = fd
	s.do("listen at "+where, unix.SYS_LISTEN, 0, unix.SOMAXCONN).load = fd
	if err := s.finish(process{flags: unix.CLONE_FILES}); err != nil {
		return nil, errors.Join(err, closeFD(fd))
	}
	f := os.NewFile(*fd, "listener")
	defer func() { _ = f.Close() }() // FileListener duplicates it
	return net.FileListener(f)
}

// inet4 returns a numeric IPv4 address as the kernel takes it.
func inet4(address string) (*unix.RawSockaddrInet4, uintptr, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !ap.Addr().Is4() {
		return nil, 0, fault.New(fault.Invalid, "ListenAddress",
			"a sandbox can't listen at %q: use an IPv4 address and a port, such as 127.0.0.1:9001", address)
	}
	port := ap.Port()
	return &unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port>>8 | port<<8, Addr: ap.Addr().As4()},
		unix.SizeofSockaddrInet4, nil
}

// Adopt takes over a namespace that a copied process was made in.
func (l *loopbackOnly) Adopt(_ context.Context, ns *os.File, _ function.Egress) (Namespace, error) {
	defer func() { _ = ns.Close() }()
	fd, err := unix.FcntlInt(ns.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	n := &namespace{user: newSlot(), net: newSlot()}
	*n.net = uintptr(fd)
	s := new(script)
	s.do("enter the network namespace", unix.SYS_SETNS, *n.net, unix.CLONE_NEWNET)
	s.loopbackUp()
	if err := s.finish(process{}); err != nil {
		return nil, errors.Join(fmt.Errorf("adopt a network namespace: %w", err), n.Release())
	}
	return n, nil
}
