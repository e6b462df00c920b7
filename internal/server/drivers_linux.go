package server

import (
	"os"

	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
)

func platformDrivers() map[string]func(*node) (sandbox.Driver, error) {
	return map[string]func(*node) (sandbox.Driver, error){"linux": openLinux}
}

func openLinux(n *node) (sandbox.Driver, error) {
	dir, err := n.dir("sandboxes")
	if err != nil {
		return nil, err
	}
	cfg := linux.Config{StateDir: dir, NodeID: n.id, FirstUID: n.cfg.UIDBase, Log: n.log.With("part", "sandbox")}
	if os.Geteuid() == 0 {
		network, err := egress.New(egress.Config{NodeID: n.id, Subnet: n.cfg.Subnet.Prefix, Log: n.log.With("part", "egress")})
		if err != nil {
			return nil, err
		}
		n.onStop("egress", network.Close)
		cfg.Network = linux.Egress(network)
	}
	return linux.New(cfg)
}
