package environment

import (
	"slices"
	"testing"
)

func TestRefusedMoves(t *testing.T) {
	allowed := map[State][]State{
		Starting: {Idle, Gone},
		Idle:     {Busy, Frozen, Draining, Gone},
		Busy:     {Idle, Draining, Gone},
		Frozen:   {Idle, Draining, Gone},
		Draining: {Gone},
	}
	for from := Starting; from <= Gone; from++ {
		for to := Starting; to <= Gone; to++ {
			e := &Environment{state: from}
			want := slices.Contains(allowed[from], to)
			if got := e.move(to); got != want {
				t.Errorf("%s to %s: %v, want %v", from, to, got, want)
			}
			if wantState := map[bool]State{true: to, false: from}[want]; e.State() != wantState {
				t.Errorf("after %s to %s the state is %s", from, to, e.State())
			}
		}
	}
}
