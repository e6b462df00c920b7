package egress

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The groups that devices of the router belong to: a device's group is its
// policy. A device in a group without a policy sends nothing.
const (
	groupInternet = 1
	groupDoomed   = 2
	groupHeld     = 3  // of a sandbox that is not bound yet
	groupAllow    = 16 // and up: one for each allow list in use
)

// uplinkName is the device of the router that leads to the node's namespace.
const uplinkName = "up"

// rules is the router's table: what may pass and what may not.
type rules struct {
	conn     *nftables.Conn
	table    *nftables.Table
	policies *nftables.Set
	sets     uint32
}

// newRules installs the router's table. subnet is refused like the ranges of
// never; flows bounds the connections of one source address.
func newRules(conn *nftables.Conn, subnet netip.Prefix, flows int) (*rules, error) {
	r := &ruleset{conn: conn, table: conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "mayfly"})}
	neverSet, err1 := r.networks("never", merge(append([]netip.Prefix{subnet}, never...)))
	privateSet, err2 := r.networks("private", merge(private))
	flowSet, err3 := r.set(&nftables.Set{Name: "flows", KeyType: nftables.TypeIPAddr, Dynamic: true, Size: 1 << 16}, nil)
	internet, refuse := r.chain("internet"), r.chain("refuse")
	policies, err4 := r.set(&nftables.Set{
		Name: "policies", KeyType: nftables.TypeDevGroup, IsMap: true, DataType: nftables.TypeVerdict,
		KeyByteOrder: binaryutil.NativeEndian,
	}, []nftables.SetElement{policyElement(groupInternet, internet), policyElement(groupHeld, refuse)})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, fmt.Errorf("describe the router's sets: %w", err)
	}

	r.refuse(refuse)
	r.rule(internet, in(destinationOffset, privateSet), goTo(refuse))
	r.rule(internet, accept())

	// A source address that does not lead back to where the packet came from is forged.
	pre := r.hook("prerouting", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw, nftables.ChainPolicyAccept)
	r.rule(pre, []expr.Any{
		&expr.Fib{Register: 1, ResultOIF: true, FlagSADDR: true, FlagIIF: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 4)},
	}, drop())

	// Nothing in the router itself is for sandboxes to talk to.
	input := r.hook("input", nftables.ChainTypeFilter, nftables.ChainHookInput, *nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	r.rule(input, notFrom(uplinkName), goTo(refuse))

	forward := r.hook("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, *nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	r.rule(forward, ipv4(expr.CmpOpNeq), drop())
	r.rule(forward, from(uplinkName), connection(expr.CmpOpNeq, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept())
	r.rule(forward, from(uplinkName), drop())
	r.rule(forward, notTo(uplinkName), goTo(refuse)) // neighbours
	r.rule(forward, in(destinationOffset, neverSet), goTo(refuse))
	known := r.chain("known")
	for _, number := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP} {
		r.rule(forward, protocol(number), goTo(known))
	}

	r.rule(known, connection(expr.CmpOpNeq, expr.CtStateBitINVALID), drop())
	r.rule(known, connection(expr.CmpOpNeq, expr.CtStateBitNEW), []expr.Any{
		field(sourceOffset),
		&expr.Dynset{
			SrcRegKey: 1, SetName: flowSet.Name, SetID: flowSet.ID, Operation: unix.NFT_DYNSET_OP_ADD,
			Exprs: []expr.Any{&expr.Connlimit{Count: uint32(flows), Flags: expr.NFT_CONNLIMIT_F_INV}},
		},
	}, goTo(refuse))
	r.rule(known, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFGROUP, Register: 1},
		&expr.Lookup{SourceRegister: 1, DestRegister: 0, IsDestRegSet: true, SetName: policies.Name, SetID: policies.ID},
	})
	r.rule(known, drop())

	nat := r.hook("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource, nftables.ChainPolicyAccept)
	r.rule(nat, to(uplinkName), masquerade())
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("install the router's rules: %w", err)
	}
	return &rules{conn: conn, table: r.table, policies: policies, sets: r.sets}, nil
}

func policyElement(group uint32, c *nftables.Chain) nftables.SetElement {
	return nftables.SetElement{
		Key:         binaryutil.NativeEndian.PutUint32(group),
		VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: c.Name},
	}
}

// allowName is the name of an allow list's set and of its chain.
func allowName(group uint32) string { return fmt.Sprintf("allow%d", group) }

// addAllow gives a group the policy of an allow list. The caller serialises.
func (r *rules) addAllow(group uint32, spans []span) error {
	b := &ruleset{conn: r.conn, table: r.table, sets: r.sets}
	set, err := b.networks(allowName(group), spans)
	if err != nil {
		return fmt.Errorf("describe an allow list: %w", err)
	}
	c := b.chain(allowName(group))
	b.rule(c, in(destinationOffset, set), accept())
	b.rule(c, goTo(&nftables.Chain{Name: "refuse"}))
	if err := r.conn.SetAddElements(r.policies, []nftables.SetElement{policyElement(group, c)}); err != nil {
		return fmt.Errorf("describe an allow list: %w", err)
	}
	if err := r.conn.Flush(); err != nil {
		return fmt.Errorf("install an allow list: %w", err)
	}
	return nil
}

// removeAllow takes a group's policy away. The caller serialises.
func (r *rules) removeAllow(group uint32) error {
	c := &nftables.Chain{Name: allowName(group), Table: r.table}
	if err := r.conn.SetDeleteElements(r.policies, []nftables.SetElement{policyElement(group, c)}); err != nil {
		return fmt.Errorf("describe an allow list: %w", err)
	}
	r.conn.FlushChain(c)
	r.conn.DelChain(c)
	r.conn.DelSet(&nftables.Set{Name: c.Name, Table: r.table})
	if err := r.conn.Flush(); err != nil {
		return fmt.Errorf("remove an allow list: %w", err)
	}
	return nil
}
