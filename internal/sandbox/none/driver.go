//go:build unix

// Package none is the sandbox driver that does not isolate: user code runs as an
// ordinary process of the node's user, in its own process group. It is for
// trying things out where the linux driver can't run. Mounts are not mounted
// but mapped: see [Sandbox.HostPath].
//
// All methods are safe for concurrent use. Sandbox.mu comes before Driver.mu.
package none

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
)

// Config is what a driver needs.
type Config struct {
	// StateDir is a directory of the driver's own, made if missing. It holds the
	// sandboxes' private /tmp.
	StateDir string
	// Log receives what goes wrong in the background; nil discards.
	Log *slog.Logger
}

// Driver makes sandboxes that do not isolate.
type Driver struct {
	dir string
	log *slog.Logger

	mu   sync.Mutex
	live map[string]*Sandbox // by id
}

var _ sandbox.Driver = (*Driver)(nil)

// New returns a driver. Close must be called.
func New(cfg Config) (*Driver, error) {
	if !filepath.IsAbs(cfg.StateDir) {
		return nil, fault.New(fault.Invalid, "StateDir", "the sandbox driver's state directory %q is not an absolute path", cfg.StateDir)
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the sandbox driver's state directory: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Driver{dir: cfg.StateDir, log: cfg.Log, live: make(map[string]*Sandbox)}, nil
}

// Name returns "none".
func (d *Driver) Name() string { return "none" }

// Gaps says that nothing is enforced.
func (d *Driver) Gaps() []sandbox.Gap {
	return []sandbox.Gap{{
		What: "Functions are not isolated at all: they can read and change whatever the node's user can, use any network, and use all of the machine.",
		Why:  "The node runs with the sandbox driver none.",
		Fix:  "Run the node on Linux with the driver linux.",
	}}
}

var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// Create makes a sandbox in which nothing runs yet.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("create sandbox: %w", err)
	}
	if !idPattern.MatchString(spec.ID) {
		return nil, fault.New(fault.Invalid, "SandboxID", "the sandbox id %q is not valid", spec.ID)
	}
	if err := checkMounts(spec.Mounts); err != nil {
		return nil, err
	}
	s := &Sandbox{driver: d, spec: spec, dir: filepath.Join(d.dir, spec.ID), bound: !spec.Unbound, mounts: spec.Mounts}
	if err := d.enlist(s); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.tmp(), 0o700); err != nil {
		d.delist(s)
		return nil, errors.Join(fmt.Errorf("create sandbox: %w", err), os.RemoveAll(s.dir))
	}
	return s, nil
}

func checkMounts(mounts []sandbox.Mount) error {
	for _, m := range mounts {
		if _, err := os.Stat(m.Source); err != nil {
			return fmt.Errorf("mount at %s: %w", m.Target, err)
		}
	}
	return nil
}

func (d *Driver) enlist(s *Sandbox) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live[s.spec.ID] != nil {
		return fault.New(fault.AlreadyExists, "SandboxExists", "there is a sandbox %q already", s.spec.ID)
	}
	d.live[s.spec.ID] = s
	return nil
}

func (d *Driver) delist(s *Sandbox) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.live, s.spec.ID)
}

// Sweep kills the process groups that an earlier node left behind, as far as
// they can be told from others, and removes the sandboxes' files.
func (d *Driver) Sweep(ctx context.Context) error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("sweep sandboxes: %w", err)
	}
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(d.dir, e.Name())
		if err := killNoted(ctx, filepath.Join(dir, noteFile)); err != nil {
			d.log.WarnContext(ctx, "left a process of an earlier sandbox alone", "sandbox", e.Name(), "err", err)
		}
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// Close frees what the driver holds.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.live); n > 0 {
		return fmt.Errorf("close the sandbox driver: %d sandboxes are not destroyed", n)
	}
	return nil
}
