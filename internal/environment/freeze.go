package environment

import (
	"context"
	"fmt"

	"mayfly.dev/mayfly/internal/sandbox"
)

// Freeze stops the processes of an idle environment until its next call. It
// reports whether they are stopped: an environment that is not idle, or whose
// sandbox can't do it, goes on.
func (e *Environment) Freeze(ctx context.Context) bool {
	f, ok := e.sandbox.(sandbox.Freezer)
	if !ok {
		return false
	}
	e.cold.Lock()
	defer e.cold.Unlock()
	if !e.move(Frozen) {
		return false
	}
	if err := f.Freeze(ctx); err != nil {
		e.log.WarnContext(ctx, "an idle environment could not be frozen", "err", err)
		if err := f.Thaw(); err != nil {
			e.log.WarnContext(ctx, "an environment could not be woken", "err", err)
		}
		e.move(Idle)
		return false
	}
	return true
}

// thaw wakes a frozen environment. A caller waits for a freeze that is under way.
func (e *Environment) thaw() error {
	e.cold.Lock()
	defer e.cold.Unlock()
	if e.State() != Frozen {
		return nil // another has woken it, or it is about to end
	}
	if err := e.sandbox.(sandbox.Freezer).Thaw(); err != nil {
		return fmt.Errorf("wake environment %s: %w", e.ID, err)
	}
	e.move(Idle)
	return nil
}

// Reclaim gives the machine the memory of a frozen environment that it does not
// need while it sleeps. It takes milliseconds.
func (e *Environment) Reclaim(ctx context.Context) {
	f, ok := e.sandbox.(sandbox.Freezer)
	if !ok || e.State() != Frozen {
		return
	}
	if err := f.Reclaim(ctx); err != nil {
		e.log.DebugContext(ctx, "memory of a frozen environment could not be reclaimed", "err", err)
	}
}
