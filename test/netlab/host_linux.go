package netlab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Port is where every host of the lab answers, over TCP and UDP, with the
// address and port from which it was called. So does every address of the
// node's namespace for which a test calls [Answer].
const Port = "7007"

// Host is a machine of the lab's world.
type Host struct {
	ns netns.NsHandle

	mu     sync.Mutex
	visits []netip.AddrPort
}

// newHost makes a host with addresses, a device of the process's namespace that
// leads to it, and the node's address on that.
func newHost(tb testing.TB, device, node string, addresses ...string) *Host {
	tb.Helper()
	h := &Host{ns: newNamespace(tb)}
	tb.Cleanup(func() { must(tb, "close a namespace", h.ns.Close()) })
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: device, TxQLen: -1, Flags: net.FlagUp},
		PeerName:  "eth0", PeerNamespace: netlink.NsFd(h.ns),
	}
	must(tb, "add "+device, netlink.LinkAdd(pair))
	tb.Cleanup(func() { must(tb, "remove "+device, netlink.LinkDel(pair)) })
	nodeAddr, err := netlink.ParseAddr(node)
	must(tb, "read the node's address", err)
	must(tb, "add the node's address", netlink.AddrAdd(pair, nodeAddr))

	inside, err := netlink.NewHandleAt(h.ns, unix.NETLINK_ROUTE)
	must(tb, "reach into a host", err)
	defer inside.Close()
	eth0, err := inside.LinkByName("eth0")
	must(tb, "find a host's device", err)
	must(tb, "bring up a host's device", inside.LinkSetUp(eth0))
	for _, a := range addresses {
		must(tb, "add "+a, inside.AddrAdd(eth0, &netlink.Addr{IPNet: hostNet(a)}))
	}
	must(tb, "route from a host", inside.RouteAdd(&netlink.Route{
		LinkIndex: eth0.Attrs().Index, Gw: nodeAddr.IP, Flags: int(netlink.FLAG_ONLINK),
	}))
	for _, a := range addresses {
		must(tb, "route to "+a, netlink.RouteAdd(&netlink.Route{
			LinkIndex: pair.Attrs().Index, Dst: hostNet(a), Scope: netlink.SCOPE_LINK,
		}))
	}
	for _, a := range addresses {
		address := net.JoinHostPort(a, Port)
		must(tb, "serve on a host", In(int(h.ns), func() error { return answer(tb, address, h.visit) }))
	}
	return h
}

// Do runs do on a thread inside the host: it may call out or open sockets there.
func (h *Host) Do(do func() error) error { return In(int(h.ns), do) }

// Visits are the addresses from which the host was called since the lab began,
// over TCP and UDP.
func (h *Host) Visits() []netip.AddrPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]netip.AddrPort(nil), h.visits...)
}

func (h *Host) visit(from netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.visits = append(h.visits, from)
}

// Answer makes an address of the process's own namespace answer like a host of
// the lab does, and reports each call to visit, which may be nil.
func Answer(tb testing.TB, address string, visit func(from netip.AddrPort)) {
	tb.Helper()
	if visit == nil {
		visit = func(netip.AddrPort) {}
	}
	must(tb, "serve on "+address, answer(tb, address, visit))
}

// answer serves in the namespace of the calling thread until the test ends.
func answer(tb testing.TB, address string, visit func(netip.AddrPort)) error {
	tb.Helper()
	var lc net.ListenConfig
	streams, err := lc.Listen(context.Background(), "tcp4", address)
	if err != nil {
		return err
	}
	packets, err := lc.ListenPacket(context.Background(), "udp4", address)
	if err != nil {
		return errors.Join(err, streams.Close())
	}
	var wait sync.WaitGroup
	wait.Go(func() { answerStreams(streams, visit) })
	wait.Go(func() { answerPackets(packets, visit) })
	tb.Cleanup(func() {
		_, _ = streams.Close(), packets.Close()
		wait.Wait()
	})
	return nil
}

func answerStreams(l net.Listener, visit func(netip.AddrPort)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		from := conn.RemoteAddr().String()
		visit(netip.MustParseAddrPort(from))
		_, _ = conn.Write([]byte(from)) // the caller may have gone
		_ = conn.Close()
	}
}

func answerPackets(c net.PacketConn, visit func(netip.AddrPort)) {
	buf := make([]byte, 2048)
	for {
		_, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		visit(netip.MustParseAddrPort(from.String()))
		_, _ = c.WriteTo([]byte(from.String()), from)
	}
}
