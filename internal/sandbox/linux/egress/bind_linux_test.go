package egress_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
	"mayfly.dev/mayfly/test/netlab"
)

func acquireUnbound(tb testing.TB, m *egress.Manager) *egress.Namespace {
	tb.Helper()
	n, err := m.AcquireUnbound(tb.Context())
	if err != nil {
		tb.Fatalf("AcquireUnbound: %v", err)
	}
	tb.Cleanup(func() {
		if err := n.Release(); err != nil {
			tb.Errorf("Release: %v", err)
		}
	})
	return n
}

func bind(tb testing.TB, n *egress.Namespace, e function.Egress) {
	tb.Helper()
	if err := n.Bind(tb.Context(), e); err != nil {
		tb.Fatalf("Bind(%v): %v", e, err)
	}
}

func TestUnboundSendsNothing(t *testing.T) {
	lab := netlab.New(t)
	n := acquireUnbound(t, newManager(t, egress.Config{}))
	for _, a := range []string{netlab.PublicAddress, netlab.PrivateAddress, netlab.MetadataAddress, netlab.NodePublic} {
		misses(t, n, at(a))
	}
	for _, h := range []*netlab.Host{lab.Public, lab.Private, lab.Metadata} {
		if v := h.Visits(); len(v) > 0 {
			t.Errorf("visits from %v, want none", v)
		}
	}
}

// What is asked before the binding is neither answered nor kept for later.
func TestUnboundAsksForNoNames(t *testing.T) {
	serveNames(t, netlab.New(t))
	n := acquireUnbound(t, newManager(t, egress.Config{Resolvers: []netip.AddrPort{resolver}}))
	query := func(id uint16) []byte {
		m := dnsmessage.Message{Header: dnsmessage.Header{ID: id}, Questions: []dnsmessage.Question{{
			Name: dnsmessage.MustNewName("example.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET,
		}}}
		packed, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	var conn net.Conn
	err := netlab.In(n.FD(), func() (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if c, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.53:53"); err == nil {
			c.Close()
			t.Error("connected to the name server")
		}
		conn, err = net.Dial("udp", "127.0.0.53:53")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(query(1)); err != nil {
		t.Fatal(err)
	}
	bind(t, n, internet)
	if _, err := conn.Write(query(2)); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var reply dnsmessage.Message
	buf := make([]byte, 4096)
	k, err := conn.Read(buf)
	if err == nil {
		err = reply.Unpack(buf[:k])
	}
	if err != nil || reply.ID != 2 {
		t.Errorf("answer %d, %v; want that to the query after the binding", reply.ID, err)
	}
	if _, err := lookup(t.Context(), n, "truncated.example.test."); err != nil {
		t.Errorf("a name over TCP: %v", err)
	}
}

func TestBoundIsAsAcquired(t *testing.T) {
	lab := netlab.New(t)
	serveNames(t, lab)
	m := newManager(t, egress.Config{Resolvers: []netip.AddrPort{resolver}})
	for name, e := range map[string]function.Egress{
		"internet": internet, "allow": allow("203.0.113.0/24"), "allow a resolver": allow(netlab.PrivateAddress + "/32"),
	} {
		t.Run(name, func(t *testing.T) {
			whole, bound := acquire(t, m, e), acquireUnbound(t, m)
			bind(t, bound, e)
			if got, want := string(bound.ResolvConf()), string(whole.ResolvConf()); got != want {
				t.Errorf("ResolvConf() = %q, want %q", got, want)
			}
			for _, a := range append([]string{netlab.PublicAddress, netlab.PublicAddress2, netlab.MetadataAddress, netlab.NodePublic}, netlab.PrivateAddresses...) {
				_, want := call(t.Context(), whole, "tcp", at(a))
				if _, got := call(t.Context(), bound, "tcp", at(a)); errnoOf(got) != errnoOf(want) {
					t.Errorf("call of %s: %v, want %v", a, got, want)
				}
			}
			_, want := lookup(t.Context(), whole, "example.test.")
			if _, got := lookup(t.Context(), bound, "example.test."); (got == nil) != (want == nil) {
				t.Errorf("lookup: %v, want %v", got, want)
			}
		})
	}
}

func errnoOf(err error) syscall.Errno {
	errno, _ := errors.AsType[syscall.Errno](err)
	return errno
}

func TestBoundToNoneHasNoWayOut(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	n := acquireUnbound(t, m)
	bind(t, n, none)
	if _, err := call(t.Context(), n, "tcp", at(netlab.PublicAddress)); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("call: %v, want the network unreachable at once", err)
	}
	misses(t, n, "127.0.0.53:53")
	eventually(t, "lo alone is left inside, and nothing in the router", func() bool {
		var inside []net.Interface
		err := netlab.In(n.FD(), func() (err error) {
			inside, err = net.Interfaces()
			return err
		})
		inside = slices.DeleteFunc(inside, func(d net.Interface) bool { return d.Name != "eth0" })
		router, err2 := m.RouterDevices()
		return errors.Join(err, err2) == nil && len(inside) == 0 && !slices.ContainsFunc(router, func(name string) bool {
			return name[0] == 's' && name != "sit0"
		})
	})
}

func TestBindFaults(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	whole, n := acquire(t, m, internet), acquireUnbound(t, m)
	if err := whole.Bind(t.Context(), internet); !fault.Is(err, fault.Conflict, "NamespaceBound") {
		t.Errorf("of a namespace with a policy: %v", err)
	}
	if err := n.Bind(t.Context(), function.Egress{Mode: "lots"}); !fault.Is(err, fault.Invalid, "Egress") {
		t.Errorf("an unknown mode: %v", err)
	}
	misses(t, n, at(netlab.PublicAddress))
	bind(t, n, none)
	if err := n.Bind(t.Context(), internet); !fault.Is(err, fault.Conflict, "NamespaceBound") {
		t.Errorf("a second time: %v", err)
	}
	released := acquireUnbound(t, m)
	if err := released.Release(); err != nil {
		t.Fatal(err)
	}
	if err := released.Bind(t.Context(), internet); !fault.Is(err, fault.Unavailable, "NamespaceReleased") {
		t.Errorf("after the release: %v", err)
	}
}
