//go:build linux

package linux_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

const echo = "/usr/bin/echo"

// BenchmarkFirstByte compares the time from nothing to the first byte that a
// program writes: in a sandbox that is made for it, and as a plain process. Both
// take turns, since the machine's pace changes; the medians count.
//
// Sandboxes come from a full stock, as they do unless starts are faster than the
// stock is refilled; BenchmarkStartsInARow is without that.
func BenchmarkFirstByte(b *testing.B) {
	d := benchDriver(b, linux.Config{})
	var bare, sandboxed []time.Duration
	for b.Loop() {
		if err := d.AwaitStock(b.Context()); err != nil {
			b.Fatal(err)
		}
		cmd := exec.CommandContext(b.Context(), echo, "hi")
		bare = append(bare, firstByte(b, func(w *os.File) error {
			cmd.Stdout = w
			return cmd.Start()
		}))
		_ = cmd.Wait()
		var sb sandbox.Sandbox
		sandboxed = append(sandboxed, firstByte(b, func(w *os.File) (err error) {
			sb, err = startEcho(b, d, len(bare), w)
			return err
		}))
		sandboxtest.Destroy(b, sb)
	}
	slices.Sort(bare)
	slices.Sort(sandboxed)
	x, y := bare[len(bare)/2].Seconds(), sandboxed[len(sandboxed)/2].Seconds()
	b.ReportMetric(x*1e3, "bare-ms")
	b.ReportMetric(y*1e3, "sandbox-ms")
	b.ReportMetric((y-x)*1e3, "over-ms")
	b.ReportMetric(y/x, "ratio")
}

// BenchmarkStartsInARow makes, uses and destroys sandboxes one after the other.
func BenchmarkStartsInARow(b *testing.B) {
	d := benchDriver(b, linux.Config{})
	for n := 0; b.Loop(); n++ {
		var sb sandbox.Sandbox
		firstByte(b, func(w *os.File) (err error) {
			sb, err = startEcho(b, d, n, w)
			return err
		})
		sandboxtest.Destroy(b, sb)
	}
}

// BenchmarkStartsAtOnce does the same on all processors, each with two on the way.
func BenchmarkStartsAtOnce(b *testing.B) {
	d := benchDriver(b, linux.Config{})
	var last atomic.Int64
	b.SetParallelism(2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			var sb sandbox.Sandbox
			firstByte(b, func(w *os.File) (err error) {
				sb, err = startEcho(b, d, int(last.Add(1)), w)
				return err
			})
			sandboxtest.Destroy(b, sb)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sandboxes/s")
}

// BenchmarkUsage reads what is metered with every invocation.
func BenchmarkUsage(b *testing.B) {
	sb := sandboxtest.Create(b, benchDriver(b, linux.Config{}), sandboxtest.Spec("bench"))
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sb.Usage(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("processor", func(b *testing.B) {
		m, ok := sb.(sandbox.Meter)
		if !ok {
			b.Fatal("the sandbox has no meter")
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.CPU(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchDriver(b *testing.B, cfg linux.Config) *linux.Driver {
	b.Helper()
	cfg.StateDir, cfg.NodeID = b.TempDir(), "bench"
	d, err := linux.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	return d
}

func startEcho(b *testing.B, d *linux.Driver, n int, w *os.File) (sandbox.Sandbox, error) {
	b.Helper()
	sb, err := d.Create(b.Context(), sandboxtest.Spec(fmt.Sprintf("bench-%d", n)))
	if err != nil {
		return nil, err
	}
	_, err = sb.Start(b.Context(), sandbox.Command{Path: echo, Args: []string{echo, "hi"}, Stdout: w})
	return sb, err
}

// firstByte starts a process that writes to the file that start gets, and says
// how long its first byte took.
func firstByte(b *testing.B, start func(*os.File) error) time.Duration {
	b.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	begun := time.Now()
	if err := start(w); err != nil {
		b.Fatal(err)
	}
	_ = w.Close()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun)
}
