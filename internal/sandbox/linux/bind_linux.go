package linux

import (
	"bytes"
	"context"
	"fmt"
	"maps"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
)

// Bind gives a sandbox that was made unbound what a function has of its own:
// limits, the policy of its network, /tmp, further mounts and resolv.conf. Its
// files are mounted by a process of ours that enters the sandbox's mount
// namespace for that, and nothing else of the sandbox.
func (s *Sandbox) Bind(ctx context.Context, b sandbox.Binding) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("bind sandbox: %w", err)
	}
	if err := checkBinding(s.spec.ID, &b); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayBind(); err != nil {
		return err
	}
	s.bound = true
	defer s.dropRoot()
	if err := s.bind(ctx, &b); err != nil {
		return fmt.Errorf("bind sandbox: %w", err)
	}
	return nil
}

func checkBinding(id string, b *sandbox.Binding) error {
	if b.MemoryBytes <= 0 || b.MilliCPU <= 0 || b.TmpBytes <= 0 {
		return fault.New(fault.Invalid, "SandboxLimits", "every limit of sandbox %q must be set", id)
	}
	return checkMounts(b.Mounts)
}

func (s *Sandbox) mayBind() error {
	switch {
	case s.destroyed:
		return sandbox.ErrDestroyed
	case s.bound:
		return sandbox.ErrBound
	case s.proc == nil:
		return sandbox.ErrNotStarted
	}
	select {
	case <-s.proc.Done():
		return sandbox.ErrEnded
	default:
		return nil
	}
}

func (s *Sandbox) bind(ctx context.Context, b *sandbox.Binding) (err error) {
	if s.disk, err = s.driver.disk(ctx, b.TmpBytes); err != nil {
		return err
	}
	if err := s.limit(b.MemoryBytes, b.MilliCPU); err != nil {
		return err
	}
	resolvConf := s.ns.ResolvConf()
	if err := s.ns.Bind(ctx, b.Egress); err != nil {
		return err
	}
	sc, release, err := s.furnish(b, !bytes.Equal(resolvConf, s.ns.ResolvConf()))
	if err != nil {
		return err
	}
	defer release()
	return sc.finish(process{})
}

// furnish writes the script that mounts what b brings, and resolv.conf if there
// is another than before. release frees what only the script needs.
func (s *Sandbox) furnish(b *sandbox.Binding, names bool) (sc *script, release func(), err error) {
	sc = new(script)
	sc.do("enter the mount namespace", unix.SYS_SETNS, *s.root.fd, unix.CLONE_NEWNS)
	sc.do("set the umask", unix.SYS_UMASK, 0) // for what is made
	mountTmp(sc, s.disk, b.TmpBytes)
	layout := s.driver.layout
	if names || layout.lacks(b.Mounts) {
		openRoot(sc)
	}
	if names {
		// A new file: what has the old one open sees that it was replaced.
		sc.do("remove resolv.conf", unix.SYS_UNLINKAT, atFDCWD, sc.refs.cstring("etc/resolv.conf"), 0)
		sc.writeFile("etc/resolv.conf", string(s.ns.ResolvConf()), 0o444)
	}
	t := &tree{s: sc, made: maps.Clone(layout.made)}
	release, err = t.attach(b.Mounts)
	if err != nil {
		return nil, nil, err
	}
	return sc, release, nil
}

// dropRoot lets go of the mount namespace of a sandbox that can't be bound any
// more, so that it ends with the sandbox's processes.
func (s *Sandbox) dropRoot() {
	if s.root != nil {
		_ = s.root.close() // nothing is written to it
		s.root = nil
	}
}
