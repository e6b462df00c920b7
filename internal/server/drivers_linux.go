package server

import (
	"context"
	"os"
	"path/filepath"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
	"mayfly.dev/mayfly/internal/sandbox/linux/scratch"
)

func platformDrivers() map[string]func(context.Context, *node) (sandbox.Driver, error) {
	return map[string]func(context.Context, *node) (sandbox.Driver, error){"linux": openLinux}
}

func openLinux(ctx context.Context, n *node) (sandbox.Driver, error) {
	dir, err := n.dir("sandboxes")
	if err != nil {
		return nil, err
	}
	cfg := linux.Config{StateDir: dir, NodeID: n.id, FirstUID: n.cfg.UIDBase, Log: n.log.With("part", "sandbox")}
	if os.Geteuid() == 0 {
		if err := n.privileged(ctx, dir, &cfg); err != nil {
			return nil, err
		}
	}
	return linux.New(cfg)
}

// privileged adds what sandboxes have with root alone: a network and a disk. A
// machine that can't have the disks says so in the driver's gaps.
func (n *node) privileged(ctx context.Context, dir string, cfg *linux.Config) error {
	network, err := egress.New(egress.Config{NodeID: n.id, Subnet: n.cfg.Subnet.Prefix, Log: n.log.With("part", "egress")})
	if err != nil {
		return err
	}
	n.onStop("egress", network.Close)
	cfg.Network = linux.Egress(network)
	disks, err := scratch.Open(ctx, scratch.Config{Dir: filepath.Join(dir, "scratch"), Log: n.log.With("part", "scratch")})
	switch {
	case fault.Is(err, fault.Unsupported, "ScratchDisk"):
		return nil
	case err != nil:
		return err
	}
	n.onStop("scratch disks", disks.Close)
	cfg.Scratch = disks
	return nil
}
