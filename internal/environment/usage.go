package environment

import (
	"time"

	"mayfly.dev/mayfly/internal/sandbox"
)

// meterInterval is how often at most all of a sandbox's usage is read while calls
// follow each other: it is six files. Between two readings only the processor time
// is, which every call is charged with.
const meterInterval = 10 * time.Millisecond

// longCall is how long a call takes whose cost is not the reading, and of which it
// should be known whether it has waited for a processor.
const longCall = time.Millisecond

// measure reads what the sandbox has used at the end of a call. whole asks for all
// of it as it is now: the call has failed or was long.
func (e *Environment) measure(now time.Time, whole bool) sandbox.Usage {
	m, ok := e.sandbox.(sandbox.Meter)
	e.mu.Lock()
	last, recent := e.used, now.Sub(e.measured) < meterInterval
	e.mu.Unlock()
	if ok && recent && !whole {
		if cpu, err := m.CPU(); err == nil {
			last.CPU = cpu
			return last
		}
	}
	u := e.usage()
	e.mu.Lock()
	e.used, e.measured = u, now
	e.mu.Unlock()
	return u
}

// usage reads what the sandbox has used; a sandbox that can't tell has used
// nothing.
func (e *Environment) usage() sandbox.Usage {
	if e.final != nil {
		return *e.final
	}
	if e.sandbox == nil {
		return sandbox.Usage{}
	}
	u, err := e.sandbox.Usage()
	if err != nil {
		e.log.Debug("usage of a sandbox could not be read", "err", err)
	}
	return u
}
