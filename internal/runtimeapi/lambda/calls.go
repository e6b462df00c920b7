package lambda

import (
	"slices"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
)

// call is one invocation under way.
type call struct {
	inv *invocation.Invocation
	// result receives the one answer.
	result chan *invocation.Result
	stage  stage // guarded by the session's mu
}

// poll is one /next. Its over is closed when it was answered or withdrawn.
type poll struct {
	conn *conn
	// last says that the connection ends with the answer.
	last bool
	over chan struct{}
}

// calls is who waits for whom: invocations for a /next and the other way round,
// never both. It is guarded by the session's mu.
type calls struct {
	slots int // how many invocations may be under way
	all   []*call
	queue []*call // of all, those that wait; first come, first out
	polls []*poll // the /next that wait
	// done are the ids of the invocations that were answered last, so that a second
	// answer is told from one to an unknown invocation.
	done []string
}

// running counts the invocations that the runtime has.
func (c *calls) running() int { return len(c.all) - len(c.queue) }

// add queues an invocation.
func (c *calls) add(n *call) error {
	if len(c.all) >= c.slots {
		return fault.New(fault.Internal, "SessionBusy", "the environment is running as many invocations as it may")
	}
	if c.find(n.inv.ID) != nil {
		return fault.New(fault.Internal, "SessionBusy", "the environment is running an invocation of this id")
	}
	c.all, c.queue = append(c.all, n), append(c.queue, n)
	return nil
}

// find returns the invocation of that id; nil: it is not under way.
func (c *calls) find(id string) *call {
	for _, n := range c.all {
		if n.inv.ID == id {
			return n
		}
	}
	return nil
}

// pair takes the invocation and the /next that have waited longest, nil if either
// is missing.
func (c *calls) pair() (*call, *poll) {
	if len(c.queue) == 0 || len(c.polls) == 0 {
		return nil, nil
	}
	n, p := c.queue[0], c.polls[0]
	c.queue, c.polls = slices.Delete(c.queue, 0, 1), slices.Delete(c.polls, 0, 1)
	n.stage, _ = n.stage.after(handOut) // who queues is queued
	return n, p
}

// crowded reports whether one more /next is one too many. A runtime that runs one
// invocation after the other asks when it has answered; one that runs several may
// ask while it works.
func (c *calls) crowded() bool {
	if c.slots == 1 {
		return c.running()+len(c.polls) > 0
	}
	return len(c.polls) >= c.slots
}

// requeue puts an invocation that got lost on its way before all others.
func (c *calls) requeue(n *call) {
	if next, ok := n.stage.after(lose); ok && slices.Contains(c.all, n) {
		n.stage = next
		c.queue = slices.Insert(c.queue, 0, n)
	}
}

// remove ends an invocation.
func (c *calls) remove(n *call) {
	c.all = slices.DeleteFunc(c.all, func(other *call) bool { return other == n })
	if len(c.done) >= c.slots {
		c.done = slices.Delete(c.done, 0, 1)
	}
	c.done = append(c.done, n.inv.ID)
}

// withdraw ends a /next that waits. It reports whether it did.
func (c *calls) withdraw(p *poll) bool {
	i := slices.Index(c.polls, p)
	if i < 0 {
		return false
	}
	c.polls = slices.Delete(c.polls, i, i+1)
	close(p.over)
	return true
}

// state says what the runtime is doing, for refusals.
func (c *calls) state() string {
	switch {
	case c.running() > 0:
		return "running an invocation"
	case len(c.polls) > 0:
		return "waiting for an invocation"
	default:
		return "answered"
	}
}
