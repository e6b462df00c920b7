package server

import (
	"context"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/none"
)

// drivers is the table of sandbox drivers by their name in the configuration;
// platformDrivers adds those that only some systems have.
func drivers() map[string]func(context.Context, *node) (sandbox.Driver, error) {
	all := platformDrivers()
	all["none"] = openNone
	return all
}

// openDriver opens the configured driver; "auto" is the best that there is.
func openDriver(ctx context.Context, n *node) (sandbox.Driver, error) {
	name := n.cfg.Sandbox
	table := drivers()
	if name == "auto" {
		name = "none"
		if _, ok := table["linux"]; ok {
			name = "linux"
		}
	}
	open, ok := table[name]
	if !ok {
		return nil, fault.New(fault.Unsupported, "Driver", "the sandbox driver %s is not there on this system: use auto or none", name)
	}
	return open(ctx, n)
}

func openNone(_ context.Context, n *node) (sandbox.Driver, error) {
	dir, err := n.dir("sandboxes")
	if err != nil {
		return nil, err
	}
	return none.New(none.Config{StateDir: dir, Log: n.log.With("part", "sandbox")})
}
