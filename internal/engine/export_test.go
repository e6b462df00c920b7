package engine

import "time"

// SetReplayStall makes watches less patient with a damaged store.
func SetReplayStall(e *Engine, d time.Duration) { e.stall = d }
