package inner

import (
	"context"
	"strconv"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
)

// maxDepth is how many functions may have called each other until one more call
// is refused: AWS's recursive loop detection has the same bound. AWS SDKs pass on
// the trace header in which they are counted; a chain that doesn't is bounded by
// the timeouts of its first function alone.
const maxDepth = 16

const lineage = ";Lineage="

// invoker runs invocations that functions ask for.
type invoker struct{ Invoker }

// Invoke runs inv unless it is one call too deep.
func (i invoker) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	trace, depth := cutLineage(inv.TraceID)
	if depth >= maxDepth {
		return nil, fault.New(fault.Invalid, "RecursiveInvocation",
			"functions have called each other %d times, which is the most: look for a loop", maxDepth)
	}
	trace += lineage + strconv.Itoa(depth+1) + ":0"
	if !invocation.ValidTrace(trace) { // too long with what was added
		trace, _ = cutLineage(invocation.Trace("", time.Now()))
		trace += lineage + strconv.Itoa(depth+1) + ":0"
	}
	inv.TraceID, inv.Trigger = trace, "function"
	return i.Invoker.Invoke(ctx, inv)
}

// cutLineage takes the number of calls out of a trace header.
func cutLineage(trace string) (rest string, depth int) {
	before, after, found := strings.Cut(trace, lineage)
	if !found {
		return trace, 0
	}
	value, others, more := strings.Cut(after, ";")
	if more {
		before += ";" + others
	}
	number, _, _ := strings.Cut(value, ":")
	depth, err := strconv.Atoi(number)
	if err != nil || depth < 0 {
		return before, 0 // somebody else's, in another form
	}
	return before, depth
}
