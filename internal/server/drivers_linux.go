package server

import (
	"errors"

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
	network, err := egress.New(egress.Config{NodeID: n.id, Subnet: n.cfg.Subnet.Prefix, Log: n.log.With("part", "egress")})
	if err != nil {
		return nil, err
	}
	driver, err := linux.New(linux.Config{
		StateDir: dir, NodeID: n.id, Network: linux.Egress(network), FirstUID: n.cfg.UIDBase, Log: n.log.With("part", "sandbox"),
	})
	if err != nil {
		return nil, errors.Join(err, network.Close())
	}
	return driver, nil
}
