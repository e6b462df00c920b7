package autoscaler

import "time"

// weight is the share that a new sample has in an [Average].
const weight = 8

// Average is a smoothed duration, as of starts or calls. The zero value knows
// nothing yet.
type Average struct {
	value time.Duration
	known bool
}

// Observe takes a duration in: the first as it is, each later one for an eighth.
func (a *Average) Observe(d time.Duration) {
	d = max(0, d)
	if !a.known {
		a.value, a.known = d, true
		return
	}
	a.value += (d - a.value) / weight
}

// Value returns the average, which is above zero once anything was observed: a
// decision takes zero for unknown.
func (a *Average) Value() time.Duration {
	if a.known {
		return max(1, a.value)
	}
	return 0
}

// shareWeight is the weight of a call in a [CPUShare]: single calls vary by more
// than what decisions may follow.
const shareWeight = 64

// CPUShare is the smoothed share of their duration that a function's calls spend
// on a processor if they don't have to wait for one. The zero value is 0.
type CPUShare struct {
	cpu, duration float64 // averages, in seconds
	value         float64
	known         bool
}

// Observe takes a call in: what it used, how long it took, and how many
// environments ran on the node's cores meanwhile.
//
// On taken cores every call seems to wait. What is seen then is a lower bound,
// and an upper one if it is multiplied by how many shared a core: the estimate
// moves only as far as they say. Otherwise the share of a function would fall as
// it gets more environments, which would give it more.
func (c *CPUShare) Observe(cpu, duration time.Duration, running int, cores float64) {
	if duration <= 0 || cores <= 0 {
		return
	}
	if !c.known {
		c.cpu, c.duration = max(0, cpu.Seconds()), duration.Seconds()
	}
	c.cpu += (max(0, cpu.Seconds()) - c.cpu) / shareWeight
	c.duration += (duration.Seconds() - c.duration) / shareWeight
	low := min(1, c.cpu/c.duration)
	high := min(1, low*max(1, float64(running)/cores))
	if !c.known {
		c.value, c.known = high, true
	}
	c.value = min(max(c.value, low), high)
}

// Mean returns what a call used on average.
func (c *CPUShare) Mean() time.Duration { return time.Duration(c.cpu * float64(time.Second)) }

// Value returns the share, 0 to 1.
func (c *CPUShare) Value() float64 { return c.value }
