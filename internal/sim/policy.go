package sim

import (
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/fault"
)

// defaultFallback is the keep-alive of the hybrid policy where it sees no
// pattern, and of the reference.
const defaultFallback = 10 * time.Minute

// Policy is one way to keep environments.
type Policy struct {
	// Name is the text that it was read from.
	Name string
	// KeepWarm decides how long environments stay; nil: until memory is needed.
	KeepWarm autoscaler.KeepWarm
	// GreedyDual chooses what is evicted; without it, what was idle longest.
	GreedyDual bool
}

var reference = Policy{Name: "fixed:10m", KeepWarm: autoscaler.Fixed(defaultFallback)}

// withGreedyDual is the suffix of a policy's name.
const withGreedyDual = "+greedy-dual"

// ParsePolicy reads the name of a policy: none, fixed:DURATION, histogram,
// histogram:DURATION (the fall-back time), lru or greedy-dual, the first three
// with +greedy-dual if eviction is to be by it.
func ParsePolicy(name string) (Policy, error) {
	p := Policy{Name: name}
	base, greedy := strings.CutSuffix(name, withGreedyDual)
	p.GreedyDual = greedy
	kind, text, timed := strings.Cut(base, ":")
	d := defaultFallback
	if timed {
		var err error
		if d, err = time.ParseDuration(text); err != nil || d < 0 {
			return p, fault.New(fault.Invalid, "Policy", "the time %q of policy %q is not valid: write for example 10m or 1h", text, name)
		}
	}
	switch {
	case kind == "fixed" && timed:
		p.KeepWarm = autoscaler.Fixed(d)
	case kind == "histogram":
		p.KeepWarm = autoscaler.Hybrid{Fallback: d}
	case kind == "none" && !timed:
		p.KeepWarm = autoscaler.Fixed(0)
	case name == "lru":
	case name == "greedy-dual":
		p.GreedyDual = true
	default:
		return p, fault.New(fault.Invalid, "Policy",
			"the policy %q is not known: use none, fixed:10m, histogram, lru or greedy-dual, the first three with %s if you like", name, withGreedyDual)
	}
	return p, nil
}

// indexOf finds a policy that does the same; -1: there is none.
func indexOf(all []Policy, p Policy) int {
	for i, q := range all {
		if q.KeepWarm == p.KeepWarm && q.GreedyDual == p.GreedyDual {
			return i
		}
	}
	return -1
}
