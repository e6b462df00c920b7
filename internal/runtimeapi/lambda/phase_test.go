package lambda //nolint:testpackage // the table of moves is the private invariant

import "testing"

func TestMovesNotListedAreRefused(t *testing.T) {
	allowed := map[phase]map[move]phase{
		starting:   {askNext: waiting, reportFailed: initFailed},
		waiting:    {loseNext: answered, takeCall: running},
		running:    {loseCall: answered, beginAnswer: answering},
		answering:  {endAnswer: answered},
		answered:   {askNext: waiting},
		initFailed: {},
	}
	for p := starting; p <= initFailed; p++ {
		for m := askNext; m <= reportFailed; m++ {
			want, wantOK := allowed[p][m]
			if got, ok := p.after(m); ok != wantOK || got != want {
				t.Errorf("from %q by move %d = %q, %t; want %q, %t", p, m, got, ok, want, wantOK)
			}
		}
	}
}
