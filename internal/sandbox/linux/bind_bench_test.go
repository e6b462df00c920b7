//go:build linux

package linux_test

import (
	"fmt"
	"testing"

	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

// BenchmarkBind binds sandboxes in which a process waits. Only the binding is on
// the clock.
func BenchmarkBind(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchBind(b, linux.Config{}) })
	b.Run("disk", func(b *testing.B) { benchBind(b, linux.Config{Scratch: newStore(b)}) })
}

func benchBind(b *testing.B, cfg linux.Config) {
	b.Helper()
	d := benchDriver(b, cfg)
	binding := sandboxtest.Binding(sandbox.Mount{Source: b.TempDir(), Target: "/var/task"})
	binding.MemoryBytes, binding.TmpBytes = 128<<20, 512<<20 // of the size that is kept ready
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		if err := d.AwaitStock(b.Context()); err != nil {
			b.Fatal(err)
		}
		sb := sandboxtest.Create(b, d, sandboxtest.Unbound(fmt.Sprintf("bind-%d", n)))
		if _, err := sb.Start(b.Context(), sandboxtest.Shell("exec sleep 1000")); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := sb.(sandbox.Binder).Bind(b.Context(), binding); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		sandboxtest.Destroy(b, sb)
		b.StartTimer()
	}
}
