//go:build unix

package none

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"mayfly.dev/mayfly/internal/sandbox"
)

var _ sandbox.Freezer = (*Sandbox)(nil)

// Freeze stops the sandbox's process group. What has left the group goes on.
func (s *Sandbox) Freeze(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("freeze sandbox: %w", err)
	}
	return s.signalGroup(syscall.SIGSTOP)
}

// Thaw lets it go on.
func (s *Sandbox) Thaw() error { return s.signalGroup(syscall.SIGCONT) }

// Reclaim does nothing: the memory of the host's processes is the host's affair.
func (s *Sandbox) Reclaim(ctx context.Context) error { return context.Cause(ctx) }

func (s *Sandbox) signalGroup(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.destroyed:
		return sandbox.ErrDestroyed
	case s.proc == nil:
		return nil
	}
	select {
	case <-s.proc.done:
		return nil // its id may be another's
	default:
	}
	if err := syscall.Kill(-s.proc.PID(), sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process group: %w", err)
	}
	return nil
}
