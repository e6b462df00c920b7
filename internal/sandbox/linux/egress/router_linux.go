package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// router is the namespace between the sandboxes and the node's.
type router struct {
	home, ns *os.File
	links    *netlink.Handle
	rules    *rules
	gateway  netip.Addr
	mtu      int
}

// newRouter makes the router with its rules and without an uplink.
func newRouter(ctx context.Context, home *os.File, addrs *addresses, subnet netip.Prefix, flows int) (*router, error) {
	ns, err := newNamespace(ctx, home, func(*os.File) error {
		if err := disableIPv6(); err != nil {
			return err
		}
		if err := writeSysctl("/proc/sys/net/ipv4/ip_forward", "1"); err != nil {
			return fmt.Errorf("let the router forward: %w", err)
		}
		// Refused datagrams are all answered: the answers only go to sandboxes.
		if err := writeSysctl("/proc/sys/net/ipv4/icmp_ratemask", "0"); err != nil {
			return fmt.Errorf("let the router answer: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r := &router{home: home, ns: ns, gateway: addrs.gateway()}
	if err := r.fill(subnet, flows); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *router) fill(subnet netip.Prefix, flows int) (err error) {
	if r.links, err = routes(r.ns); err != nil {
		return err
	}
	lo := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: 1}}
	if err := r.links.AddrAdd(lo, host(r.gateway)); err != nil {
		return fmt.Errorf("give the router its address: %w", err)
	}
	conn, err := nftables.New(nftables.WithNetNSFd(int(r.ns.Fd())))
	if err != nil {
		return fmt.Errorf("speak to nftables: %w", err)
	}
	r.rules, err = newRules(conn, subnet, flows)
	return err
}

// close lets the router go; the kernel removes it with all that is in it.
func (r *router) close() error {
	if r.links != nil {
		r.links.Close()
	}
	return r.ns.Close()
}

// wire is the veth pair between the router and one sandbox.
type wire struct {
	address netip.Addr
	index   int    // of the router's end
	inner   int    // index of the sandbox's end
	group   uint32 // of the router's end
}

// firstIndex is where the indexes of the router's ends start; below are lo, the
// uplink, and what the kernel makes in every namespace.
const firstIndex = 1000

// connect wires the namespace of the calling thread, which is open as ns, to
// the router. Nobody is inside yet, so it may have the usual policy at once:
// a pooled namespace then needs no message to the kernel to be given away.
func (r *router) connect(ns *os.File, addr netip.Addr, offset uint32) (*wire, error) {
	w := &wire{address: addr, index: firstIndex + int(offset), group: groupInternet}
	end := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{
			Name: "s" + strconv.FormatUint(uint64(offset), 10), Index: w.index, MTU: r.mtu,
			Flags: net.FlagUp, TxQLen: -1, Group: w.group,
		},
		PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.Fd()), PeerTxQLen: -1,
	}
	if err := r.links.LinkAdd(end); err != nil {
		return nil, fmt.Errorf("add a sandbox's devices: %w", err)
	}
	err := r.inside(w)
	if err == nil {
		err = carries(r.links, w.index)
	}
	if err == nil {
		err = r.links.RouteAdd(&netlink.Route{LinkIndex: w.index, Dst: host(addr).IPNet, Scope: netlink.SCOPE_LINK})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wire a sandbox: %w", err), r.links.LinkDel(end))
	}
	return w, nil
}

// inside sets up the sandbox's end, in the namespace of the calling thread.
func (r *router) inside(w *wire) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	w.inner = eth0.Attrs().Index
	if err := h.AddrAdd(eth0, host(w.address)); err != nil {
		return err
	}
	if err := h.LinkSetUp(eth0); err != nil {
		return err
	}
	return h.RouteAdd(&netlink.Route{
		LinkIndex: w.inner, Gw: r.gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK),
	})
}

// forgetAddress takes the sandbox's address from its end, in the namespace of
// the calling thread. It is the only one, so that all routes go with it.
func (w *wire) forgetAddress() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	eth0 := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "eth0", Index: w.inner}}
	if err := h.AddrDel(eth0, host(w.address)); err != nil {
		return fmt.Errorf("take a sandbox's address: %w", err)
	}
	return nil
}

// carries waits until a device sends what it is given. The kernel brings a veth
// to that state in the background once its other end is up; a first packet that
// comes before is lost, and TCP sends it again only after a second. Recent
// kernels finish the work when asked for the state.
func carries(h *netlink.Handle, index int) error {
	for range carrierTries {
		link, err := h.LinkByIndex(index)
		if err != nil {
			return err
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		<-time.After(time.Millisecond)
	}
	return nil // it will; the first packet may just be late
}

// carrierTries bounds how often, at intervals of a millisecond, a device's
// state is asked for.
const carrierTries = 50

// assign puts a wire into a group and so gives it that group's policy.
func (r *router) assign(w *wire, group uint32) error {
	if w.group == group {
		return nil
	}
	end := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: w.index}}
	if err := r.links.LinkSetGroup(end, int(group)); err != nil {
		return fmt.Errorf("set a sandbox's policy: %w", err)
	}
	w.group = group
	return nil
}

// condemn ends a wire's traffic and leaves its removal to bury.
func (r *router) condemn(w *wire) error {
	err := r.assign(w, groupDoomed)
	if err == nil {
		return nil
	}
	return errors.Join(err, r.links.LinkDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: w.index}}))
}

// bury removes all wires of the group doomed at once: the kernel waits for
// packets under way once for the lot and not once for each.
func (r *router) bury() error {
	return visit(r.home, r.ns, func() error {
		req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		req.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(groupDoomed)))
		if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("remove the devices of sandboxes: %w", err)
		}
		return nil
	})
}

// host is an address alone, without neighbours.
func host(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)}}
}
