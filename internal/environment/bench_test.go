package environment_test

import (
	"testing"

	"mayfly.dev/mayfly/internal/environment/environmenttest"
)

// BenchmarkInvoke is what an environment adds to a call of user code that does
// nothing: states, deadline, log lines and record.
func BenchmarkInvoke(b *testing.B) {
	e, err := (&environmenttest.World{}).Factory().Start(b.Context(), environmenttest.Version("f"), nil)
	if err != nil {
		b.Fatal(err)
	}
	inv := environmenttest.Call("0f3c3f1e-6f0c-4f5b-9d1b-2f6f3a0c9b11", "f", `{}`)
	inv.WantLogTail = false
	b.ReportAllocs()
	for b.Loop() {
		if _, reusable, err := e.Invoke(b.Context(), inv); err != nil || !reusable {
			b.Fatal(reusable, err)
		}
	}
	if err := e.Stop(b.Context()); err != nil {
		b.Error(err)
	}
}
