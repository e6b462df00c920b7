package linux

import (
	"context"
	"fmt"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
)

var errNoFreezer = fault.New(fault.Unsupported, "Freezer", "sandboxes can't be frozen on this machine: see the node's gaps")

// Freeze stops all processes of the sandbox and waits until they stand still. A
// sandbox in which nothing runs stays as it is.
func (s *Sandbox) Freeze(ctx context.Context) error {
	if err := s.beginFreeze(); err != nil {
		return err
	}
	if s.freezer == nil {
		return errNoFreezer
	}
	if err := s.freezer.await(ctx); err != nil {
		return fmt.Errorf("freeze sandbox: %w", err)
	}
	return nil
}

func (s *Sandbox) beginFreeze() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.destroyed:
		return sandbox.ErrDestroyed
	case s.freezer == nil:
		return errNoFreezer
	case s.proc == nil:
		return nil // a process that is made in a frozen group would never start
	}
	if err := s.freezer.freeze(); err != nil {
		return fmt.Errorf("freeze sandbox: %w", err)
	}
	return nil
}

// Thaw wakes the sandbox's processes. It waits for nothing else that is done
// with the sandbox.
func (s *Sandbox) Thaw() error {
	if s.freezer == nil {
		return nil
	}
	return s.freezer.thaw()
}

// Reclaim gives back what the kernel can read again from files of the memory
// that counts as the sandbox's, and with swap the rest. It does nothing for a
// sandbox that isn't frozen.
func (s *Sandbox) Reclaim(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("reclaim memory of sandbox: %w", err)
	}
	group, err := s.frozenGroup()
	if err != nil || group == nil {
		return err
	}
	// Without a lock: nobody else waits for it. What has gone meanwhile has given
	// back all there was.
	if err := group.reclaim(); err != nil && s.freezer.isFrozen() {
		return fmt.Errorf("reclaim memory of sandbox: %w", err)
	}
	return nil
}

// frozenGroup returns the group of a sandbox that is frozen, else nil.
func (s *Sandbox) frozenGroup() (cgroup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.destroyed:
		return nil, sandbox.ErrDestroyed
	case s.freezer == nil:
		return nil, errNoFreezer
	case !s.freezer.isFrozen():
		return nil, nil
	default:
		return s.group, nil
	}
}
