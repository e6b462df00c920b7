package egress

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The offsets of addresses in an IPv4 header.
const (
	sourceOffset      = 12
	destinationOffset = 16
)

// tableOwned is NFT_TABLE_F_OWNER, which x/sys lacks: the table ends with the
// socket that made it.
const tableOwned = 0x2

// ruleset gathers the rules of one table. Nothing reaches the kernel before the
// connection is flushed, and then all of it or nothing.
type ruleset struct {
	conn  *nftables.Conn
	table *nftables.Table
	sets  uint32
}

// chain adds a chain that other chains go to.
func (r *ruleset) chain(name string) *nftables.Chain {
	return r.conn.AddChain(&nftables.Chain{Name: name, Table: r.table})
}

// hook adds a chain that the kernel calls.
func (r *ruleset) hook(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority nftables.ChainPriority, policy nftables.ChainPolicy) *nftables.Chain {
	return r.conn.AddChain(&nftables.Chain{
		Name: name, Table: r.table, Type: kind, Hooknum: hook, Priority: &priority, Policy: &policy,
	})
}

// set adds a set with its elements. IDs are given here because the library's
// own counter is not safe with several connections.
func (r *ruleset) set(s *nftables.Set, elements []nftables.SetElement) (*nftables.Set, error) {
	r.sets++
	s.ID, s.Table = r.sets, r.table
	return s, r.conn.AddSet(s, elements)
}

// networks adds a set of IPv4 ranges.
func (r *ruleset) networks(name string, spans []span) (*nftables.Set, error) {
	return r.set(&nftables.Set{Name: name, KeyType: nftables.TypeIPAddr, Interval: true}, intervals(spans))
}

// intervals are the elements of a set of ranges: each start, and the address
// after each end unless that is beyond the last address there is.
func intervals(spans []span) []nftables.SetElement {
	var elements []nftables.SetElement
	if len(spans) == 0 || spans[0].first > 0 {
		elements = append(elements, nftables.SetElement{Key: []byte{0, 0, 0, 0}, IntervalEnd: true})
	}
	for _, s := range spans {
		elements = append(elements, nftables.SetElement{Key: address(s.first).AsSlice()})
		if s.last != ^uint32(0) {
			elements = append(elements, nftables.SetElement{Key: address(s.last + 1).AsSlice(), IntervalEnd: true})
		}
	}
	return elements
}

// rule adds a rule made of parts.
func (r *ruleset) rule(c *nftables.Chain, parts ...[]expr.Any) {
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: c, Exprs: slices.Concat(parts...)})
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

func goTo(c *nftables.Chain) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: c.Name}}
}

func accept() []expr.Any { return verdict(expr.VerdictAccept) }
func drop() []expr.Any   { return verdict(expr.VerdictDrop) }

// meta compares a fact about the packet.
func meta(key expr.MetaKey, op expr.CmpOp, value []byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: value},
	}
}

// from and to match a device by name; a name that ends in * matches all that
// start so.
func from(device string) []expr.Any {
	return meta(expr.MetaKeyIIFNAME, expr.CmpOpEq, deviceName(device))
}

func to(device string) []expr.Any { return meta(expr.MetaKeyOIFNAME, expr.CmpOpEq, deviceName(device)) }

func notFrom(device string) []expr.Any {
	return meta(expr.MetaKeyIIFNAME, expr.CmpOpNeq, deviceName(device))
}

func notTo(device string) []expr.Any {
	return meta(expr.MetaKeyOIFNAME, expr.CmpOpNeq, deviceName(device))
}

func deviceName(name string) []byte {
	if n := len(name) - 1; name[n] == '*' {
		return []byte(name[:n])
	}
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return padded
}

// ipv4 matches, or with [expr.CmpOpNeq] all but, IPv4.
func ipv4(op expr.CmpOp) []expr.Any {
	return meta(expr.MetaKeyNFPROTO, op, []byte{unix.NFPROTO_IPV4})
}

// protocol matches the transport.
func protocol(number byte) []expr.Any {
	return meta(expr.MetaKeyL4PROTO, expr.CmpOpEq, []byte{number})
}

// field loads an address of the IPv4 header.
func field(offset uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
}

// in matches an address of the header that is in a set.
func in(offset uint32, s *nftables.Set) []expr.Any {
	return []expr.Any{field(offset), &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID}}
}

// connection matches if the state of the packet's connection is, or with
// [expr.CmpOpEq] is none, of states.
func connection(op expr.CmpOp, states uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(states), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: op, Register: 1, Data: make([]byte, 4)},
	}
}

// masquerade gives the packet the address of the device that it leaves by.
func masquerade() []expr.Any { return []expr.Any{&expr.Masq{}} }

// refuse adds the rules that answer a packet instead of losing it, so that the
// sender fails at once.
func (r *ruleset) refuse(c *nftables.Chain) {
	r.rule(c, protocol(unix.IPPROTO_TCP), []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}})
	r.rule(c, []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}})
}
