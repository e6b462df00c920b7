package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// installTable installs the node's table: nothing from the uplink reaches the
// node itself or another node's sandboxes, and what leaves has the address of
// the device that it leaves by.
//
// The table belongs to a socket that stays open, so the kernel removes it when
// the process ends, however it ends, and refuses others to change it.
func (o *outside) installTable(router netip.Addr) error {
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: o.table()}
	conn, err := nftables.New(nftables.AsLasting(),
		nftables.WithSockOptions(func(c *mdl.Conn) error { return createOwned(c, table) }))
	if err != nil {
		return fmt.Errorf("add the node's table: %w", err)
	}
	o.owner = conn
	r := &ruleset{conn: conn, table: table}
	device := o.device()
	refuse := r.chain("refuse")
	r.refuse(refuse)

	// Before any translation of destinations: a published port of some container
	// is the host's address too.
	pre := r.hook("prerouting", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw, nftables.ChainPolicyAccept)
	r.rule(pre, from(device), ipv4(expr.CmpOpNeq), drop())
	r.rule(pre, from(device), []expr.Any{field(sourceOffset), &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: router.AsSlice()}}, drop())
	r.rule(pre, from(device), []expr.Any{
		&expr.Fib{Register: 1, ResultADDRTYPE: true, FlagDADDR: true},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_UNICAST)},
	}, goTo(refuse))

	input := r.hook("input", nftables.ChainTypeFilter, nftables.ChainHookInput, *nftables.ChainPriorityFilter, nftables.ChainPolicyAccept)
	r.rule(input, from(device), drop())

	forward := r.hook("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, *nftables.ChainPriorityFilter, nftables.ChainPolicyAccept)
	r.rule(forward, from(device), to(devicePrefix+"*"), drop())
	r.rule(forward, to(device), connection(expr.CmpOpEq, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), drop())

	nat := r.hook("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource, nftables.ChainPolicyAccept)
	r.rule(nat, ipv4(expr.CmpOpEq), []expr.Any{field(sourceOffset), &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: router.AsSlice()}}, notTo(device), masquerade())
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("install the node's rules: %w", err)
	}
	return nil
}

// createOwned makes a table that belongs to the connection's socket, which the
// library can't ask for: it writes the table's flags as zero.
func createOwned(c *mdl.Conn, t *nftables.Table) error {
	attributes, err := mdl.MarshalAttributes([]mdl.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: []byte(t.Name + "\x00")},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binaryutil.BigEndian.PutUint32(tableOwned)},
	})
	if err != nil {
		return err
	}
	// A message to nftables starts with family, version, and a resource: the
	// subsystem for the ends of a batch.
	batchEnd := []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES}
	sent, err := c.SendMessages([]mdl.Message{
		{Header: mdl.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: mdl.Request}, Data: batchEnd},
		{
			Header: mdl.Header{
				Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE,
				Flags: mdl.Request | mdl.Acknowledge | mdl.Create | mdl.Excl,
			},
			Data: append([]byte{byte(t.Family), unix.NFNETLINK_V0, 0, 0}, attributes...),
		},
		{Header: mdl.Header{Type: unix.NFNL_MSG_BATCH_END, Flags: mdl.Request}, Data: batchEnd},
	})
	if err != nil {
		return err
	}
	answers, err := c.Receive()
	if err != nil {
		return err
	}
	if len(answers) != 1 || answers[0].Header.Sequence != sent[1].Header.Sequence {
		return errors.New("the kernel's answer to a new table is not understood")
	}
	return nil
}

// tables lists the names of the host's tables of our family.
func (o *outside) tables() (*nftables.Conn, []string, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, nil, fmt.Errorf("speak to nftables: %w", err)
	}
	list, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, nil, fmt.Errorf("list the host's tables: %w", err)
	}
	var names []string
	for _, t := range list {
		names = append(names, t.Name)
	}
	return conn, names, nil
}

// sweepTables removes leftover tables of this node. A kernel without nftables,
// and one that does not let us look, has none.
func (o *outside) sweepTables() error {
	conn, names, err := o.tables()
	if err != nil {
		return nil //nolint:nilerr // without nftables nothing of ours can be left; setting up will say what is missing
	}
	for _, name := range names {
		if strings.HasPrefix(name, tablePrefix+o.tag) && name != o.table() && name != o.guard() {
			conn.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: name})
			// A table that another process owns is that of a dying predecessor: it
			// goes with it.
			if err := conn.Flush(); err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("remove the leftover table %s: %w", name, err)
			}
		}
	}
	return nil
}
