package netlab

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The addresses of the lab: those of the node's own namespace, and those of the
// hosts around it. The public ones are of ranges for documentation.
const (
	NodePublic  = "203.0.113.1"
	NodePrivate = "10.20.30.1"

	PublicAddress   = "203.0.113.10"
	PublicAddress2  = "198.51.100.20"
	MetadataAddress = "169.254.169.254"
	PrivateAddress  = "10.20.30.40"
)

// PrivateAddresses are all that the private host has: one of each range that is
// not public, a platform service with a public address included.
var PrivateAddresses = []string{
	PrivateAddress, "172.16.5.5", "192.168.77.7", "100.64.9.9", "198.18.7.7", "192.0.0.192", "168.63.129.16", "240.0.0.9",
}

// Lab is the world outside of the test's namespace.
type Lab struct {
	Public, Metadata, Private *Host
}

// New builds a lab around the namespace of the process, which [Enter] has made,
// and takes it down with the test. One process has one lab at a time.
func New(tb testing.TB) *Lab {
	tb.Helper()
	if os.Getenv(stage) != "inside" {
		tb.Fatal("netlab: call netlab.Enter in TestMain")
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	must(tb, "bring up lo", err)
	l := &Lab{
		Public:   newHost(tb, "wan0", NodePublic+"/24", PublicAddress, PublicAddress2),
		Metadata: newHost(tb, "meta0", "169.254.169.1/24", MetadataAddress),
		Private:  newHost(tb, "lan0", NodePrivate+"/24", PrivateAddresses...),
	}
	must(tb, "route to the public host", netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(PublicAddress)}))
	return l
}

func must(tb testing.TB, what string, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("netlab: %s: %v", what, err)
	}
}

// In runs do on a thread inside the network namespace that is open as fd.
// Sockets made by do stay in that namespace.
func In(fd int, do func() error) error {
	return away(func() error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return err
		}
		return do()
	})
}

// away runs do on a thread that ends with it. It is never the process's first:
// that one can't end, and /proc/self would show where it is.
func away(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			err := away(do) // on another thread, as this one is taken
			runtime.UnlockOSThread()
			done <- err
			return
		}
		done <- do()
	}()
	return <-done
}

// newNamespace makes a network namespace with lo up.
func newNamespace(tb testing.TB) (ns netns.NsHandle) {
	tb.Helper()
	must(tb, "make a network namespace", away(func() (err error) {
		if ns, err = netns.New(); err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	}))
	return ns
}

func hostNet(a string) *net.IPNet {
	p := netip.MustParseAddr(a)
	return &net.IPNet{IP: p.AsSlice(), Mask: net.CIDRMask(32, 32)}
}
