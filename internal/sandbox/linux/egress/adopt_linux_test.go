package egress_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
	"mayfly.dev/mayfly/test/netlab"
)

// foreign makes a network namespace as somebody else does: all devices are down.
func foreign(tb testing.TB) *os.File {
	tb.Helper()
	made := make(chan *os.File, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		defer close(made)
		if unix.Unshare(unix.CLONE_NEWNET) == nil {
			if f, err := os.Open("/proc/thread-self/ns/net"); err == nil {
				made <- f
			}
		}
	}()
	f := <-made
	if f == nil {
		tb.Fatal("no network namespace could be made")
	}
	return f
}

func TestAdoptedNamespaceKeepsToItsPolicy(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	for name, tt := range map[string]struct {
		policy function.Egress
		public func(*testing.T, *egress.Namespace, string)
		inside func(*testing.T, *egress.Namespace, string)
	}{
		"internet": {internet, reaches, misses},
		"allow":    {allow(netlab.PrivateAddress + "/32"), misses, reaches},
		"none":     {none, misses, misses},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := m.Adopt(t.Context(), foreign(t), tt.policy)
			if err != nil {
				t.Fatal(err)
			}
			tt.public(t, n, at(netlab.PublicAddress))
			tt.inside(t, n, at(netlab.PrivateAddress))
			misses(t, n, at(netlab.MetadataAddress))
			if _, err := n.Listen(t.Context(), "127.0.0.1:9001"); err != nil {
				t.Errorf("listen: %v", err)
			}
			if err := n.Release(); err != nil {
				t.Errorf("release: %v", err)
			}
		})
	}
}

func TestAdoptionThatFailsTakesTheFile(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	f := foreign(t)
	if _, err := m.Adopt(t.Context(), f, function.Egress{Mode: "some"}); err == nil {
		t.Error("an unknown policy was taken")
	}
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file is open: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f = foreign(t)
	if _, err := m.Adopt(ctx, f, internet); err == nil {
		t.Error("adopted after the end of its time")
	}
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file is open: %v", err)
	}
}
