package egress

import (
	"net/netip"
	"sync"

	"mayfly.dev/mayfly/internal/fault"
)

// margin is how many addresses are kept back at either end of the subnet: the
// router's own at the low end, the uplink's at the high end.
const margin = 256

// addresses hands out the subnet's addresses in turn, so that the longest time
// passes before one is used again: packets of a sandbox that is gone find
// nobody.
type addresses struct {
	base  uint32 // the subnet's first address
	first uint32 // of those handed out
	count uint32

	mu   sync.Mutex
	next uint32 // offset from first
	used map[uint32]bool
}

func newAddresses(subnet netip.Prefix) *addresses {
	base := number(subnet.Addr())
	size := uint32(1) << (32 - subnet.Bits())
	return &addresses{base: base, first: base + margin, count: size - 2*margin, used: map[uint32]bool{}}
}

// gateway is the router's address as sandboxes see it.
func (a *addresses) gateway() netip.Addr { return address(a.base + 1) }

// uplinks are the pairs of neighbouring addresses that an uplink may have, the
// node's end first.
func (a *addresses) uplink(n int) (node, router netip.Addr) {
	start := a.first + a.count + 2*uint32(n)
	return address(start), address(start + 1)
}

// uplinks is how many uplink pairs the subnet has.
const uplinks = margin / 2

func (a *addresses) take() (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if uint32(len(a.used)) >= a.count {
		return netip.Addr{}, fault.New(fault.Unavailable, "AddressesExhausted",
			"all %d sandbox addresses are in use: configure a larger sandbox subnet", a.count)
	}
	for a.used[a.next] {
		a.next = (a.next + 1) % a.count
	}
	n := a.next
	a.used[n] = true
	a.next = (a.next + 1) % a.count
	return address(a.first + n), nil
}

func (a *addresses) free(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.used, number(addr)-a.first)
}
