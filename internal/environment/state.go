package environment

import (
	"fmt"
	"slices"
)

// State is where an environment is in its life.
type State uint8

// The states. An environment is made in Starting and ends in Gone. What was started
// before it was known for whom is a [Stem] until then.
const (
	Starting State = iota // its sandbox or its init phase is under way
	Idle                  // waits for an invocation
	Busy                  // runs an invocation
	Frozen                // idle, and its processes are stopped
	Draining              // takes no more; ends with the invocation it runs
	Gone                  // its sandbox is being destroyed or has been
)

func (s State) String() string {
	switch s {
	case Starting:
		return "starting"
	case Idle:
		return "idle"
	case Busy:
		return "busy"
	case Frozen:
		return "frozen"
	case Draining:
		return "draining"
	case Gone:
		return "gone"
	default:
		return fmt.Sprintf("state(%d)", uint8(s))
	}
}

// moves lists where each state may lead.
var moves = map[State][]State{
	Starting: {Idle, Gone},
	Idle:     {Busy, Frozen, Draining, Gone},
	Busy:     {Idle, Draining, Gone},
	Frozen:   {Idle, Draining, Gone},
	Draining: {Gone},
	Gone:     nil,
}

// move takes the environment from one of its states to another. It reports
// false, and changes nothing, if the table has no such move.
func (e *Environment) move(to State) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Contains(moves[e.state], to) {
		return false
	}
	e.state = to
	return true
}

// State returns the present state.
func (e *Environment) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}
