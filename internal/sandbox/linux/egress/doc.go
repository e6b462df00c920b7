// Package egress gives every sandbox a network namespace of its own and
// decides what may leave it.
//
// # The way out
//
//	sandbox namespace        router namespace                 the node's namespace
//	lo 127.0.0.1, eth0 ----- s<n>  forward rules, NAT  up --- mfy<node>  input and NAT rules --- the world
//
// Each sandbox that may send has a veth pair into one router namespace that the
// manager owns. There, and not in the sandbox and not in the node's namespace,
// the policies are kept: a device's group number is its policy, so that giving
// a pooled namespace to a function costs nothing for "internet", and one message
// for "allow" with a list that is in use. What leaves the router has the uplink's address, and the node's
// namespace sees one further device and two tables however many sandboxes run:
// the rest of the host's network configuration, and whatever watches it, is
// left alone.
//
// The kernel frees the router with the process, and with it every veth pair
// and rule in it; the table in the node's namespace belongs to an open socket,
// so that it ends with the process too and "nft flush ruleset" does not take
// it away. After a crash nothing forwards for a sandbox that still runs, and
// [Manager.Sweep] has little to do.
//
// # Policies
//
// Of every sandbox's traffic these are refused whatever the policy: any address
// of the node and of the router, other sandboxes, loopback, link-local (so all
// metadata services), multicast, broadcast and reserved addresses, protocols
// other than TCP, UDP and ICMP, forged source addresses, and IPv6 altogether,
// which is off inside. "internet" further refuses private, carrier-grade NAT
// and benchmark ranges. "allow" permits its list alone, private ranges
// included. Refused connections are answered with a reset, so that a function
// fails at once and does not wait for its timeout. "none" has nothing but lo.
//
// Anything missing (privileges, nftables, forwarding) closes the way out: the
// function gets lo alone and [Manager.Gaps] says so.
//
// # Names
//
// A host's resolver is mostly at an address that the policy refuses, so the
// node offers its own forwarder at 127.0.0.53 of every sandbox that may send.
// It passes plain queries on to the host's resolvers and nothing else: no
// updates, no zone transfers. A name server carries data for whoever asks for
// crafted names, which would be a hole in an allow list; therefore a function
// with such a list gets the forwarder only if the list holds the address of
// one of the host's resolvers (127.0.0.53/32 for systemd-resolved), and only
// those are asked. Names never widen what may be connected to.
//
// # Forwarding on the host
//
// Forwarding of IPv4 must be on in the node's namespace. If it was off, the
// manager turns it on and adds a guard table that goes on refusing what the
// host refused before: to forward between the devices it had. The guard stays
// after a crash; it tells the next start that forwarding was ours. Close turns
// forwarding off again unless another node or another program's forwarding
// rules have come to rely on it.
//
// # Concurrency
//
// All exported methods are safe for concurrent use. Locks, outermost first:
// Manager.life, Namespace.mu, policies.mu, addresses.mu. No lock is held while waiting for a
// packet. Threads that visit another namespace are locked to their goroutine
// and return to the node's before they are unlocked; one that can't return is
// thrown away.
package egress
