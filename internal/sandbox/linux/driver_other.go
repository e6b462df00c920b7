//go:build !linux

package linux

import (
	"context"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
)

// Driver can't be made on this system.
type Driver struct{}

var _ sandbox.Driver = (*Driver)(nil)

var errUnsupported = fault.New(fault.Unsupported, "SandboxUnsupported", "the linux sandbox driver needs Linux: use the driver none")

// New fails with Unsupported.
func New(Config) (*Driver, error) { return nil, errUnsupported }

// Name returns "linux".
func (*Driver) Name() string { return "linux" }

// Create fails with Unsupported.
func (*Driver) Create(context.Context, sandbox.Spec) (sandbox.Sandbox, error) {
	return nil, errUnsupported
}

// Gaps returns nothing.
func (*Driver) Gaps() []sandbox.Gap { return nil }

// Sweep does nothing.
func (*Driver) Sweep(context.Context) error { return nil }

// Close does nothing.
func (*Driver) Close() error { return nil }
