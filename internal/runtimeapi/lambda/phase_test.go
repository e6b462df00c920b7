package lambda //nolint:testpackage // the tables of moves are the private invariant

import "testing"

func TestMovesNotListedAreRefused(t *testing.T) {
	allowedPhases := map[phase]map[move]phase{
		starting:   {askNext: serving, reportFailed: initFailed},
		serving:    {askNext: serving},
		initFailed: {},
	}
	for p := starting; p <= initFailed; p++ {
		for m := askNext; m <= endAnswer; m++ {
			want, wantOK := allowedPhases[p][m]
			if got, ok := p.after(m); ok != wantOK || got != want {
				t.Errorf("from %q by move %d = %q, %t; want %q, %t", p, m, got, ok, want, wantOK)
			}
		}
	}
	allowedStages := map[stage]map[move]stage{
		queued:    {handOut: running},
		running:   {lose: queued, beginAnswer: answering},
		answering: {endAnswer: answered},
		answered:  {},
	}
	for s := queued; s <= answered; s++ {
		for m := askNext; m <= endAnswer; m++ {
			want, wantOK := allowedStages[s][m]
			if got, ok := s.after(m); ok != wantOK || got != want {
				t.Errorf("from stage %d by move %d = %d, %t; want %d, %t", s, m, got, ok, want, wantOK)
			}
		}
	}
}
