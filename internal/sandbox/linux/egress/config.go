package egress

import (
	"log/slog"
	"net/netip"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

// Defaults of [Config].
const (
	DefaultPool  = 8
	DefaultFlows = 2048
)

// Sizes that a subnet may have: the larger keeps addresses from being reused
// soon, the smaller still holds 512 sandboxes.
const (
	widestSubnet    = 8
	narrowestSubnet = 22
)

// retry is how long what runs in the background waits after a failure.
const retry = time.Second

// Config says how sandboxes reach the outside.
type Config struct {
	// NodeID is the node's stable name: it goes into the names of devices and
	// tables, by which a later start recognises what is its own.
	NodeID string
	// Pool is how many namespaces are kept ready; 0: [DefaultPool], negative: none.
	Pool int
	// Subnet is the IPv4 range of the sandboxes' own addresses, /8 to /22. It is
	// seen inside the node only but must not overlap a network that the host has
	// a route to. Zero: the first free one of a few rarely used ranges.
	Subnet netip.Prefix
	// Flows bounds the connections that one sandbox may have open or in the
	// kernel's memory at once, over all protocols; 0: [DefaultFlows].
	Flows int
	// Resolvers are asked for names; nil: those of /etc/resolv.conf, read anew
	// when it changes.
	Resolvers []netip.AddrPort
	// Log receives what goes wrong in the background; nil discards.
	Log *slog.Logger
}

// fill returns the configuration with its defaults, or its first fault.
func (c Config) fill() (Config, error) {
	if c.Pool == 0 {
		c.Pool = DefaultPool
	}
	c.Pool = max(c.Pool, 0)
	if c.Flows == 0 {
		c.Flows = DefaultFlows
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.NodeID == "":
		return c, fault.New(fault.Invalid, "NodeID", "the sandbox network needs the node's id")
	case c.Flows < 0:
		return c, fault.New(fault.Invalid, "Flows", "the number of connections of a sandbox can't be negative")
	case c.Subnet.IsValid() && (!c.Subnet.Addr().Is4() || c.Subnet.Bits() < widestSubnet || c.Subnet.Bits() > narrowestSubnet):
		return c, fault.New(fault.Invalid, "Subnet", "the sandbox subnet %s is not valid: use an IPv4 network of /%d to /%d",
			c.Subnet, widestSubnet, narrowestSubnet)
	}
	if c.Subnet.IsValid() {
		c.Subnet = c.Subnet.Masked()
	}
	return c, nil
}

// candidates are the subnets tried when none is configured: ranges that are
// private to a provider, for benchmarks, or in corners of the private networks
// that routers and container tools do not hand out.
var candidates = []netip.Prefix{
	netip.MustParsePrefix("100.125.0.0/16"),
	netip.MustParsePrefix("198.19.0.0/16"),
	netip.MustParsePrefix("10.213.0.0/16"),
	netip.MustParsePrefix("172.29.0.0/16"),
}
