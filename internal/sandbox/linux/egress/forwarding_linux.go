package egress

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"mayfly.dev/mayfly/internal/sandbox"
)

// forwardingPath is the switch for forwarding IPv4 between a host's devices.
const forwardingPath = "/proc/sys/net/ipv4/ip_forward"

// ensureForwarding turns forwarding on if it is off, behind a guard that keeps
// refusing what the host refused before. A guard in the kernel, of this node's
// last start or of another node, says that forwarding is ours already.
func (o *outside) ensureForwarding(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	now, err := os.ReadFile(forwardingPath)
	if err != nil {
		return fmt.Errorf("read whether the host forwards: %w", err)
	}
	on := bytes.HasPrefix(now, []byte("1"))
	_, names, err := o.tables()
	if err != nil {
		return err
	}
	if on && !slices.ContainsFunc(names, isGuard) {
		return nil
	}
	if err := o.installGuard(); err != nil {
		return err
	}
	o.forwarding = true
	if on {
		return nil
	}
	if err := writeSysctl(forwardingPath, "1"); err != nil {
		return fmt.Errorf("let the host forward: %w", err)
	}
	return nil
}

// adopt takes over the guard of an earlier start that crashed: it says that
// forwarding is ours to turn off.
func (o *outside) adopt() error {
	_, names, err := o.tables()
	o.forwarding = slices.Contains(names, o.guard())
	return err
}

func isGuard(table string) bool {
	return strings.HasPrefix(table, tablePrefix) && strings.HasSuffix(table, guardSuffix)
}

// installGuard refuses to forward between the devices that the host has now.
// Devices that come later, a container tool's for instance, are not concerned.
func (o *outside) installGuard() error {
	links, err := list(o.links.LinkList)
	if err != nil {
		return fmt.Errorf("list the host's devices: %w", err)
	}
	var devices []nftables.SetElement
	for _, l := range links {
		if name := l.Attrs().Name; name != "lo" && !strings.HasPrefix(name, devicePrefix) {
			devices = append(devices, nftables.SetElement{Key: deviceName(name)})
		}
	}
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("speak to nftables: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: o.guard()}
	conn.AddTable(table) // so that deleting it finds one
	conn.DelTable(table)
	r := &ruleset{conn: conn, table: conn.AddTable(table)}
	set, err := r.set(&nftables.Set{Name: "devices", KeyType: nftables.TypeIFName}, devices)
	if err != nil {
		return fmt.Errorf("describe the host's devices: %w", err)
	}
	forward := r.hook("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, *nftables.ChainPriorityFilter, nftables.ChainPolicyAccept)
	known := func(key expr.MetaKey) []expr.Any {
		return []expr.Any{
			&expr.Meta{Key: key, Register: 1},
			&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID},
		}
	}
	r.rule(forward, ipv4(expr.CmpOpEq), known(expr.MetaKeyIIFNAME), known(expr.MetaKeyOIFNAME), drop())
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("install the guard of the host's forwarding: %w", err)
	}
	return nil
}

// restoreForwarding turns forwarding off if it was this node that turned it on,
// unless other nodes still need it. Where another program has forwarding rules
// it may rely on it by now: there forwarding stays on, and so does the guard.
func (o *outside) restoreForwarding() error {
	if !o.forwarding {
		return nil
	}
	o.forwarding = false
	conn, names, err := o.tables()
	if err != nil {
		return err
	}
	foreign, err := foreignForwarding(conn)
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		return nil
	}
	if !slices.ContainsFunc(names, func(name string) bool { return isGuard(name) && name != o.guard() }) {
		if err := writeSysctl(forwardingPath, "0"); err != nil {
			return fmt.Errorf("turn the host's forwarding off again: %w", err)
		}
	}
	conn.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: o.guard()})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("remove the guard of the host's forwarding: %w", err)
	}
	return nil
}

// foreignForwarding lists the forwarding chains of other programs.
func foreignForwarding(conn *nftables.Conn) ([]*nftables.Chain, error) {
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list the host's forwarding rules: %w", err)
	}
	return slices.DeleteFunc(chains, func(c *nftables.Chain) bool {
		ip := c.Table.Family == nftables.TableFamilyINet || c.Table.Family == nftables.TableFamilyIPv4
		return !ip || c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward || strings.HasPrefix(c.Table.Name, tablePrefix)
	}), nil
}

// firewallGaps reports chains of other programs that drop what they do not
// know, such as Docker's: no rule of ours can make up for that.
func (o *outside) firewallGaps() []sandbox.Gap {
	conn, _, err := o.tables()
	if err != nil {
		return nil
	}
	chains, err := foreignForwarding(conn)
	if err != nil {
		return nil
	}
	var gaps []sandbox.Gap
	for _, c := range chains {
		if c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
			gaps = append(gaps, sandbox.Gap{
				What: "Functions may fail to reach the internet.",
				Why:  fmt.Sprintf("The host's firewall drops forwarded packets by default (chain %s of table %s).", c.Name, c.Table.Name),
				Fix:  fmt.Sprintf("Let it forward from and to the devices %s*, for example: iptables -I FORWARD -i %s+ -j ACCEPT; iptables -I FORWARD -o %s+ -j ACCEPT.", devicePrefix, devicePrefix, devicePrefix),
			})
		}
	}
	return gaps
}
