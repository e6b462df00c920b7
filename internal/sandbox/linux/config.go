// Package linux is the sandbox driver that isolates with the kernel's own
// means: mount, pid, network, ipc and uts namespaces, a private read-only root,
// cgroups of version 1 or 2, a uid per sandbox, no capabilities and a seccomp
// filter. It leaves outgoing traffic to whoever makes its network namespaces.
//
// A sandbox is made by a script of system calls (see [script]) that a vforked
// process runs inside the new namespaces, right before it executes the
// sandbox's program. Nothing of ours stays in the sandbox: the program is
// process 1 of its pid namespace, and all in there ends with it. All mounts are
// in the sandbox's own mount namespace, so nothing of them outlives it either.
//
// Without root the same script runs inside a user namespace; [Driver.Gaps] lists
// what can't be enforced then. Files bound into a sandbox must be readable by
// every user of the machine: a sandbox has a uid of its own.
//
// All methods are safe for concurrent use. Processes are made by a few threads
// that the driver keeps for it, because the kernel ties a sandbox's life to the
// thread that made it. Locks: Sandbox.mu before Driver.mu before uids.mu.
package linux

import (
	"context"
	"log/slog"
	"net"
	"os"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux/scratch"
)

// Config is what a driver needs.
type Config struct {
	// StateDir is a directory of the driver's own, made if missing. It must not be
	// shared with another node.
	StateDir string
	// NodeID tells apart the nodes of one machine: a few characters of a-z and
	// 0-9, the same at every start on one data directory. Cgroups are named after
	// it.
	NodeID string
	// Network makes the sandboxes' network namespaces; it stays the caller's. Nil
	// gives each sandbox a loopback interface alone. It isn't used without root.
	Network Network
	// Scratch makes the disks for /tmp; it stays the caller's. Nil, and without
	// root, /tmp is in memory and counts as such.
	Scratch *scratch.Store
	// FirstUID is the first of the UIDs user and group ids that sandboxes get, one
	// each; nobody else on the machine should have them. Defaults: 700000 and
	// 60000. Without root there is one id for all.
	FirstUID, UIDs int
	// Log receives what goes wrong in the background; nil discards.
	Log *slog.Logger
}

// Network makes network namespaces for sandboxes and polices their traffic.
type Network interface {
	// Acquire returns a namespace with a loopback interface whose outgoing traffic
	// keeps to the policy.
	Acquire(ctx context.Context, policy function.Egress) (Namespace, error)
	// AcquireUnbound returns one out of which nothing gets before its Bind.
	AcquireUnbound(ctx context.Context) (Namespace, error)
	Gaps() []sandbox.Gap
	// Sweep removes what a crashed node left behind.
	Sweep(ctx context.Context) error
}

// Adopter is a network that takes namespaces which others have made.
type Adopter interface {
	// Adopt gives a namespace that nothing has run in its loopback interface and
	// the policy. It takes over the file, also when it fails.
	Adopt(ctx context.Context, ns *os.File, policy function.Egress) (Namespace, error)
}

// Namespace is one network namespace.
type Namespace interface {
	// FD is a descriptor of the namespace, valid until Release.
	FD() int
	// Listen opens a TCP listener inside.
	Listen(ctx context.Context, address string) (net.Listener, error)
	// ResolvConf is the content of the sandbox's /etc/resolv.conf; it may be empty.
	ResolvConf() []byte
	// Bind gives a namespace that was acquired unbound its policy. It succeeds
	// once; after an error the namespace can only be released.
	Bind(ctx context.Context, policy function.Egress) error
	// Release gives the namespace back; it may be called twice.
	Release() error
}

func (c *Config) setDefaults() {
	if c.FirstUID == 0 {
		c.FirstUID = 700_000
	}
	if c.UIDs == 0 {
		c.UIDs = 60_000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
