package egress_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
	"mayfly.dev/mayfly/test/netlab"
)

var (
	internet = function.Egress{Mode: function.EgressInternet}
	none     = function.Egress{Mode: function.EgressNone}
)

func allow(networks ...string) function.Egress {
	return function.Egress{Mode: function.EgressAllow, Allow: networks}
}

// patience is how long a call may take that is refused or lost, or comes
// through: far more than it takes on a busy machine.
const patience = 10 * time.Second

// newManager starts a manager that can let traffic out, and closes it with the
// test.
func newManager(tb testing.TB, cfg egress.Config) *egress.Manager {
	tb.Helper()
	if cfg.NodeID == "" {
		cfg.NodeID = "test-node"
	}
	if cfg.Pool == 0 {
		cfg.Pool = -1
	}
	cfg.Log = slog.New(slog.NewTextHandler(testLog{tb}, nil))
	m, err := egress.New(cfg)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return m
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func acquire(tb testing.TB, m *egress.Manager, e function.Egress) *egress.Namespace {
	tb.Helper()
	n, err := m.Acquire(tb.Context(), e)
	if err != nil {
		tb.Fatalf("Acquire(%v): %v", e, err)
	}
	tb.Cleanup(func() {
		if err := n.Release(); err != nil {
			tb.Errorf("Release: %v", err)
		}
	})
	return n
}

// call calls an address of the lab from inside a namespace and returns from
// where the call came by its account.
func call(ctx context.Context, n *egress.Namespace, network, address string) (netip.AddrPort, error) {
	var from netip.AddrPort
	err := netlab.In(n.FD(), func() error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		defer conn.Close()
		deadline, _ := ctx.Deadline()
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
		if _, err := conn.Write([]byte("hello")); err != nil {
			return err
		}
		buf := make([]byte, 64)
		k, err := conn.Read(buf)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		from, err = netip.ParseAddrPort(string(buf[:k]))
		return err
	})
	return from, err
}

func at(address string) string { return net.JoinHostPort(address, netlab.Port) }

func reaches(t *testing.T, n *egress.Namespace, address string) {
	t.Helper()
	for _, network := range []string{"tcp", "udp"} {
		if _, err := call(t.Context(), n, network, address); err != nil {
			t.Errorf("%s to %s: %v, want an answer", network, address, err)
		}
	}
}

func misses(t *testing.T, n *egress.Namespace, address string) {
	t.Helper()
	for _, network := range []string{"tcp", "udp"} {
		if from, err := call(t.Context(), n, network, address); err == nil {
			t.Errorf("%s to %s: answered to %s, want no answer", network, address, from)
		} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			t.Errorf("%s to %s: %v, want a refusal at once", network, address, err)
		}
	}
}

func TestInternetReachesPublicAddressesWithTheNodesAddress(t *testing.T) {
	netlab.New(t)
	n := acquire(t, newManager(t, egress.Config{}), internet)
	for _, network := range []string{"tcp", "udp"} {
		from, err := call(t.Context(), n, network, at(netlab.PublicAddress))
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		if got := from.Addr().String(); got != netlab.NodePublic {
			t.Errorf("%s came from %s, want %s", network, got, netlab.NodePublic)
		}
	}
	reaches(t, n, at(netlab.PublicAddress2))
}

func TestInternetReachesNothingElse(t *testing.T) {
	lab := netlab.New(t)
	m := newManager(t, egress.Config{})
	n := acquire(t, m, internet)
	for _, a := range append([]string{netlab.MetadataAddress}, netlab.PrivateAddresses...) {
		misses(t, n, at(a))
	}
	for _, h := range []*netlab.Host{lab.Metadata, lab.Private} {
		if v := h.Visits(); len(v) > 0 {
			t.Errorf("visits from %v, want none", v)
		}
	}
}
