package egress

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
)

// Names in the node's namespace start so, whichever node made them.
const (
	devicePrefix = "mfy"
	tablePrefix  = "mayfly_"
	guardSuffix  = "_guard"
)

const defaultMTU = 1500

// outside is what the manager keeps in the node's own namespace: the uplink,
// its table, and the guard if forwarding was off.
type outside struct {
	ns    *os.File
	links *netlink.Handle
	tag   string // the node's part of names
	start string // this start's part of names
	owner *nftables.Conn
	// forwarding says that this node turned it on and has a guard.
	forwarding bool
}

// openOutside opens the namespace of the calling thread, which is that of the
// process if nobody has moved the thread. It changes nothing.
func openOutside(nodeID string) (*outside, error) {
	ns, err := os.Open(threadNamespace)
	if err != nil {
		return nil, fmt.Errorf("open the node's network namespace: %w", err)
	}
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("speak to the kernel of network devices: %w", err), ns.Close())
	}
	sum := sha256.Sum256([]byte(nodeID))
	var start [2]byte
	_, _ = rand.Read(start[:]) // never fails, by its documentation
	return &outside{ns: ns, links: links, tag: hex.EncodeToString(sum[:4]), start: hex.EncodeToString(start[:])}, nil
}

func (o *outside) device() string { return devicePrefix + o.tag + o.start }
func (o *outside) table() string  { return tablePrefix + o.tag + "_" + o.start }
func (o *outside) guard() string  { return tablePrefix + o.tag + guardSuffix }

// freeSubnet checks the wanted subnet against the host's routes, or finds a
// free one if none is wanted.
func (o *outside) freeSubnet(wanted netip.Prefix) (netip.Prefix, error) {
	taken, err := o.networks()
	if err != nil {
		return netip.Prefix{}, err
	}
	choices := candidates
	if wanted.IsValid() {
		choices = []netip.Prefix{wanted}
	}
	var last string
	for _, p := range choices {
		clash := overlap(taken, p)
		if clash == "" {
			return p, nil
		}
		last = clash
	}
	if wanted.IsValid() {
		return netip.Prefix{}, fault.New(fault.Conflict, "SubnetInUse",
			"the sandbox subnet %s overlaps the host's network %s: configure another one", wanted, last)
	}
	return netip.Prefix{}, fault.New(fault.Conflict, "SubnetInUse",
		"the host has routes to all of the usual sandbox subnets, such as %s: configure one that is free", last)
}

// networks are those that the host has routes to, default routes and uplinks
// of nodes apart.
func (o *outside) networks() (map[netip.Prefix]string, error) {
	links, err := list(o.links.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the host's devices: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	known, err := o.routes()
	if err != nil {
		return nil, err
	}
	taken := map[netip.Prefix]string{}
	for _, r := range known {
		if r.Dst == nil || strings.HasPrefix(names[r.LinkIndex], devicePrefix) {
			continue
		}
		if p, ok := prefixOf(r.Dst); ok && p.Bits() > 0 {
			taken[p] = names[r.LinkIndex]
		}
	}
	return taken, nil
}

// routes are the host's, of its main table.
func (o *outside) routes() ([]netlink.Route, error) {
	known, err := list(func() ([]netlink.Route, error) { return o.links.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list the host's routes: %w", err)
	}
	return known, nil
}

func overlap(taken map[netip.Prefix]string, p netip.Prefix) string {
	for t, device := range taken {
		if t.Overlaps(p) {
			return fmt.Sprintf("%s on %s", t, device)
		}
	}
	return ""
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

// mtu is the smallest of the devices with a default route: what leaves a
// sandbox should not be too large for the way out.
func (o *outside) mtu() int {
	known, err := o.routes()
	if err != nil {
		return defaultMTU
	}
	smallest := 0
	for _, r := range known {
		if !isDefault(r) {
			continue
		}
		l, err := o.links.LinkByIndex(r.LinkIndex)
		if err == nil && (smallest == 0 || l.Attrs().MTU < smallest) {
			smallest = l.Attrs().MTU
		}
	}
	if smallest == 0 {
		return defaultMTU
	}
	return smallest
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	p, ok := prefixOf(r.Dst)
	return ok && p.Bits() == 0
}

// connect adds the uplink between the node's namespace and the router, and
// installs the node's table before the uplink carries anything.
func (o *outside) connect(ctx context.Context, r *router, addrs *addresses) error {
	near, far, err := o.freeUplink(addrs)
	if err != nil {
		return err
	}
	r.mtu = o.mtu()
	device := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: o.device(), MTU: r.mtu, TxQLen: -1},
		PeerName:  uplinkName, PeerNamespace: netlink.NsFd(r.ns.Fd()), PeerTxQLen: -1,
	}
	if err := o.links.LinkAdd(device); err != nil {
		return fmt.Errorf("add the uplink of the sandboxes: %w", err)
	}
	if err := o.installTable(far); err != nil {
		return err
	}
	if err := o.ensureForwarding(ctx); err != nil {
		return err
	}
	// The node's end speaks IPv4 with the router alone.
	err = writeSysctl("/proc/sys/net/ipv6/conf/"+o.device()+"/disable_ipv6", "1")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("turn IPv6 off on the uplink: %w", err)
	}
	// The host may forward by default and yet not from new devices.
	if err := writeSysctl("/proc/sys/net/ipv4/conf/"+o.device()+"/forwarding", "1"); err != nil {
		return fmt.Errorf("let the uplink forward: %w", err)
	}
	if err := up(r.links, uplinkName, far); err != nil {
		return err
	}
	if err := up(o.links, o.device(), near); err != nil {
		return err
	}
	if err := settled(r.links); err != nil {
		return err
	}
	if err := r.links.RouteAdd(&netlink.Route{Gw: near.AsSlice()}); err != nil {
		return fmt.Errorf("route sandboxes to the node: %w", err)
	}
	return nil
}

// settled waits for the end of the uplink that was brought up first.
func settled(h *netlink.Handle) error {
	link, err := h.LinkByName(uplinkName)
	if err == nil {
		err = carries(h, link.Attrs().Index)
	}
	if err != nil {
		return fmt.Errorf("bring up the uplink: %w", err)
	}
	return nil
}

// up gives one end of the uplink its address and brings it up.
func up(h *netlink.Handle, name string, a netip.Addr) error {
	link, err := h.LinkByName(name)
	if err == nil {
		err = h.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(31, 32)}})
	}
	if err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("bring up the uplink: %w", err)
	}
	return nil
}

// freeUplink finds a pair of addresses that no other node of the host uses.
func (o *outside) freeUplink(addrs *addresses) (near, far netip.Addr, err error) {
	addresses, err := list(func() ([]netlink.Addr, error) { return o.links.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return near, far, fmt.Errorf("list the host's addresses: %w", err)
	}
	used := map[netip.Addr]bool{}
	for _, a := range addresses {
		if p, ok := prefixOf(a.IPNet); ok {
			used[p.Addr()] = true
		}
	}
	for n := range uplinks {
		if near, far = addrs.uplink(n); !used[near] {
			return near, far, nil
		}
	}
	return near, far, fault.New(fault.Unavailable, "AddressesExhausted",
		"all %d uplink addresses of the sandbox subnet are in use by other nodes on this host: configure another subnet", uplinks)
}

// sweep removes what earlier starts of this node left, and leaves alone what
// this one has.
func (o *outside) sweep() error {
	links, err := list(o.links.LinkList)
	if err != nil {
		return fmt.Errorf("list the host's devices: %w", err)
	}
	var errs []error
	for _, l := range links {
		name := l.Attrs().Name
		if strings.HasPrefix(name, devicePrefix+o.tag) && name != o.device() {
			if err := o.links.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
				errs = append(errs, fmt.Errorf("remove the leftover device %s: %w", name, err))
			}
		}
	}
	return errors.Join(append(errs, o.sweepTables())...)
}

// disconnect removes the uplink and the table, and turns forwarding off if that
// is ours to do. It does nothing where there is nothing of these.
func (o *outside) disconnect() error {
	var errs []error
	if link, err := o.links.LinkByName(o.device()); err == nil {
		// It may have gone with the router's end at this very moment.
		if err := o.links.LinkDel(link); !errors.Is(err, unix.ENODEV) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, o.restoreForwarding())
	if o.owner != nil {
		errs = append(errs, o.owner.CloseLasting())
		o.owner = nil
	}
	return errors.Join(errs...)
}

// close disconnects and lets the namespace go.
func (o *outside) close() error {
	err := o.disconnect()
	o.links.Close()
	return errors.Join(err, o.ns.Close())
}
