package autoscaler

import "time"

// GreedyDual orders idle environments for eviction as "FaasCache" (Fuerst and
// Sharma, ASPLOS 2021) does: what is used often, dear to start and small goes
// last. The zero value is ready. It holds the node's clock, which is no time: it
// is the priority of what was evicted last, so that what has not been used for
// long falls behind what is used now.
type GreedyDual struct{ clock float64 }

// maxFrequency bounds what a long life counts. Without a bound, an environment
// that ran a hundred thousand calls would outlive its function's last call by
// days; in simulation 16 calls tell what is used from what is not.
const maxFrequency = 16

// Priority is what an environment is worth from now on: it is computed when the
// environment has run a call and kept with it until the next. calls is how many
// calls it has run itself, so that one which is there for rare peaks goes before
// the others of its function; one that has just started counts as used once. cost
// is what starting it takes, memory what it occupies. The environment of the
// lowest priority is evicted first.
func (g GreedyDual) Priority(calls int, cost time.Duration, memoryBytes int64) float64 {
	frequency := float64(min(max(1, calls), maxFrequency))
	return g.clock + frequency*cost.Seconds()/(float64(max(1, memoryBytes))/(1<<20))
}

// Evicted returns the order after an environment of this priority was evicted.
func (g GreedyDual) Evicted(priority float64) GreedyDual {
	return GreedyDual{clock: max(g.clock, priority)}
}
