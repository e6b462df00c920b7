package egress_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
	"mayfly.dev/mayfly/test/netlab"
)

// addresses lists the addresses of a device inside a namespace.
func addresses(t *testing.T, n *egress.Namespace, device string) []netip.Prefix {
	t.Helper()
	var list []netip.Prefix
	err := netlab.In(n.FD(), func() error {
		d, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		addrs, err := d.Addrs()
		for _, a := range addrs {
			list = append(list, netip.MustParsePrefix(a.String()))
		}
		return err
	})
	if err != nil {
		t.Fatalf("addresses of %s: %v", device, err)
	}
	return list
}

func TestNobodyReachesTheNode(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	var visits atomic.Int32
	netlab.Answer(t, "0.0.0.0:"+netlab.Port, func(netip.AddrPort) { visits.Add(1) })
	netlab.Answer(t, "127.0.0.1:9000", func(netip.AddrPort) { visits.Add(1) })

	targets := []string{"127.0.0.1:9000", at("127.0.0.1"), at(netlab.NodePublic), at(netlab.NodePrivate), at("169.254.169.1"), at("0.0.0.0")}
	for _, d := range interfaces(t) {
		if d.Name == m.Device() {
			addrs, err := d.Addrs()
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range addrs {
				uplink := netip.MustParsePrefix(a.String()).Addr()
				targets = append(targets, at(uplink.String()), at(uplink.Next().String()))
			}
		}
	}
	for name, e := range map[string]*egress.Namespace{
		"internet": acquire(t, m, internet),
		"allow":    acquire(t, m, allow("0.0.0.0/0")),
	} {
		gateway := addresses(t, e, "eth0")[0].Addr()
		for _, a := range append(targets, at(gateway.String()), at("100.125.0.1")) {
			t.Run(name+" "+a, func(t *testing.T) { misses(t, e, a) })
		}
	}
	if n := visits.Load(); n > 0 {
		t.Errorf("the node was reached %d times, want 0", n)
	}
}

// A published port of a container is an address of the host too, and is
// translated before the host's input rules look.
func TestNobodyReachesPortsThatTheHostTranslates(t *testing.T) {
	lab := netlab.New(t)
	n := acquire(t, newManager(t, egress.Config{}), internet)
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "published"})
	chain := conn.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: net.ParseIP(netlab.NodePublic).To4()},
		&expr.Immediate{Register: 1, Data: net.ParseIP(netlab.PrivateAddress).To4()},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
	}})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.DelTable(table)
		if err := conn.Flush(); err != nil {
			t.Error(err)
		}
	})
	misses(t, n, at(netlab.NodePublic))
	if v := lab.Private.Visits(); len(v) > 0 {
		t.Errorf("visits from %v, want none", v)
	}
}

func TestNeighboursDoNotReachEachOther(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	neighbour := acquire(t, m, internet)
	listener, err := neighbour.Listen(t.Context(), at("0.0.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := addresses(t, neighbour, "eth0")[0].Addr().String()
	for name, n := range map[string]*egress.Namespace{
		"internet": acquire(t, m, internet),
		"allow":    acquire(t, m, allow("0.0.0.0/0")),
		"none":     acquire(t, m, none),
	} {
		t.Run(name, func(t *testing.T) { misses(t, n, at(address)) })
	}
}

func TestTheWorldDoesNotReachSandboxes(t *testing.T) {
	lab := netlab.New(t)
	n := acquire(t, newManager(t, egress.Config{}), internet)
	listener, err := n.Listen(t.Context(), at("0.0.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dial := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // nobody answers what is dropped
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at(addresses(t, n, "eth0")[0].Addr().String()))
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := lab.Public.Do(dial); err == nil {
		t.Error("a public host reached a sandbox")
	}
	if err := dial(); err == nil {
		t.Error("the node's namespace reached a sandbox")
	}
}

func TestForgedSourceAddressesAreDropped(t *testing.T) {
	lab := netlab.New(t)
	m := newManager(t, egress.Config{})
	n, neighbour := acquire(t, m, internet), acquire(t, m, internet)
	for _, forged := range []string{"198.51.100.77", netlab.NodePublic, addresses(t, neighbour, "eth0")[0].Addr().String()} {
		err := netlab.In(n.FD(), func() error {
			h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
			if err != nil {
				return err
			}
			defer h.Close()
			eth0, err := h.LinkByName("eth0")
			if err != nil {
				return err
			}
			ip := net.ParseIP(forged)
			if err := h.AddrAdd(eth0, &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)}}); err != nil {
				return err
			}
			conn, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: ip}}).DialContext(t.Context(), "udp", at(netlab.PublicAddress))
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write([]byte("hello"))
			return err
		})
		if err != nil {
			t.Errorf("send from %s: %v", forged, err)
		}
	}
	// What was sent before has arrived, or never will, when this is answered.
	if _, err := call(t.Context(), n, "udp", at(netlab.PublicAddress)); err != nil {
		t.Fatal(err)
	}
	if v := lab.Public.Visits(); len(v) != 1 {
		t.Errorf("visits from %v, want the unforged one alone", v)
	}
}

func TestAllowReachesItsListAlone(t *testing.T) {
	lab := netlab.New(t)
	m := newManager(t, egress.Config{})
	n := acquire(t, m, allow("10.20.30.0/24", "198.51.100.0/24", "169.254.0.0/16"))
	reaches(t, n, at(netlab.PrivateAddress))
	reaches(t, n, at(netlab.PublicAddress2))
	for _, a := range []string{netlab.PublicAddress, netlab.MetadataAddress, netlab.NodePrivate, "192.168.77.7"} {
		misses(t, n, at(a))
	}
	if v := lab.Metadata.Visits(); len(v) > 0 {
		t.Errorf("visits from %v, want none", v)
	}
}

func TestAllowListsAreIndependent(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	first, err := m.Acquire(t.Context(), allow("203.0.113.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	second := acquire(t, m, allow("203.0.113.0/24"))
	private := acquire(t, m, allow("10.0.0.0/8"))
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	reaches(t, second, at(netlab.PublicAddress))
	misses(t, second, at(netlab.PrivateAddress))
	reaches(t, private, at(netlab.PrivateAddress))
	misses(t, private, at(netlab.PublicAddress))
	for range 3 { // the list's last user goes, and a new one comes
		n, err := m.Acquire(t.Context(), allow("198.51.100.20/32"))
		if err != nil {
			t.Fatal(err)
		}
		reaches(t, n, at(netlab.PublicAddress2))
		misses(t, n, at(netlab.PublicAddress))
		if err := n.Release(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoneHasLoopbackAlone(t *testing.T) {
	netlab.New(t)
	n := acquire(t, newManager(t, egress.Config{}), none)
	err := netlab.In(n.FD(), func() error {
		devices, err := net.Interfaces()
		for _, d := range devices {
			if d.Flags&net.FlagUp != 0 && d.Name != "lo" {
				t.Errorf("device %s is up, want lo alone", d.Name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	misses(t, n, at(netlab.PublicAddress))
	if text := n.ResolvConf(); len(text) > 0 {
		t.Errorf("ResolvConf() = %q, want none", text)
	}
}

func TestThereIsNoIPv6(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	for name, n := range map[string]*egress.Namespace{"none": acquire(t, m, none), "internet": acquire(t, m, internet)} {
		for _, device := range []string{"lo", "eth0"} {
			if name == "none" && device == "eth0" {
				continue
			}
			for _, p := range addresses(t, n, device) {
				if p.Addr().Is6() {
					t.Errorf("%s: %s has the address %s", name, device, p)
				}
			}
		}
		for _, a := range []string{"::1", "fe80::1%eth0", "fd00:ec2::254", "2001:db8::1", "::ffff:169.254.169.254"} {
			misses(t, n, at(a))
		}
	}
}

func TestConnectionsOfASandboxAreBounded(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{Flows: 8})
	greedy, modest := acquire(t, m, internet), acquire(t, m, internet)
	answered := 0
	for range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if _, err := call(ctx, greedy, "udp", at(netlab.PublicAddress)); err == nil {
			answered++
		}
		cancel()
	}
	if answered != 8 {
		t.Errorf("%d connections came through, want 8", answered)
	}
	reaches(t, modest, at(netlab.PublicAddress))
}

func interfaces(t *testing.T) []net.Interface {
	t.Helper()
	list, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// uplinks lists the devices of nodes in the namespace of the process.
func uplinks(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, d := range interfaces(t) {
		if strings.HasPrefix(d.Name, "mfy") {
			names = append(names, d.Name)
		}
	}
	return names
}
