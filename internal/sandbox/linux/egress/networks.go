package egress

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// never lists what no policy permits. 168.63.129.16 is Azure's platform
// service, which hands out a machine's secrets from a public address.
var never = prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "224.0.0.0/4", "240.0.0.0/4")

// private lists what the policy internet refuses beyond never: RFC 1918,
// carrier-grade NAT (RFC 6598), protocol assignments (RFC 6890, with Oracle's
// metadata service), the retired 6to4 relays, and benchmarks (RFC 2544).
var private = prefixes("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.88.99.0/24",
	"192.168.0.0/16", "198.18.0.0/15")

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// span is a range of IPv4 addresses, both ends included.
type span struct{ first, last uint32 }

// merge turns networks into sorted ranges that neither overlap nor touch, as
// the kernel's interval sets want them.
func merge(list []netip.Prefix) []span {
	spans := make([]span, 0, len(list))
	for _, p := range list {
		first := number(p.Masked().Addr())
		spans = append(spans, span{first, first | uint32(1<<(32-p.Bits())-1)})
	}
	slices.SortFunc(spans, func(a, b span) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		default:
			return 0
		}
	})
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && uint64(s.first) <= uint64(merged[n-1].last)+1 {
			merged[n-1].last = max(merged[n-1].last, s.last)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// number and address convert between an IPv4 address and its value.
func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
