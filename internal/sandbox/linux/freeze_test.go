//go:build linux

package linux_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

// processesInGroups counts what runs in the cgroups of the node "test".
func processesInGroups(t *testing.T) int {
	t.Helper()
	ids := make(map[string]bool)
	files, err := filepath.Glob("/sys/fs/cgroup/*/mayfly-test/*/cgroup.procs")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("/sys/fs/cgroup/mayfly-test/*/cgroup.procs")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, more...) {
		b, _ := os.ReadFile(name) // a group that goes meanwhile holds nothing
		for id := range strings.FieldsSeq(string(b)) {
			ids[id] = true
		}
	}
	return len(ids)
}

func TestManyAreDestroyedFrozen(t *testing.T) {
	d := newDriver(t)
	const many = 100
	sandboxes := make([]sandbox.Sandbox, many)
	for i := range sandboxes {
		sandboxes[i] = sandboxtest.Create(t, d, sandboxtest.Spec(fmt.Sprintf("many-%d", i)))
		sandboxtest.Start(t, sandboxes[i], sandboxtest.Shell("sleep 1000 & sleep 1000; :"))
		if err := sandboxtest.Freeze(t, sandboxes[i]); err != nil {
			t.Fatalf("freeze: %v", err)
		}
	}
	if n := processesInGroups(t); n < many {
		t.Errorf("%d processes, want %d or more", n, many)
	}
	var wg sync.WaitGroup
	for _, sb := range sandboxes {
		wg.Go(func() { sandboxtest.Destroy(t, sb) })
	}
	wg.Wait()
	if n := processesInGroups(t); n > 0 {
		t.Errorf("%d processes are left", n)
	}
	works(t, d)
}

// BenchmarkReclaim wakes an idle Node.js process, beside another with which it
// shares its program's pages, and asks it something, after its memory was given
// back. It reports what is private then.
func BenchmarkReclaim(b *testing.B) {
	d := benchDriver(b, linux.Config{})
	startNode(b, sandboxtest.Create(b, d, sandboxtest.Spec("other")))
	sb := sandboxtest.Create(b, d, sandboxtest.Spec("node"))
	r, ask := startNode(b, sb)
	f, ok := sb.(sandbox.Freezer)
	if !ok {
		b.Fatal("the sandbox can't be frozen")
	}
	var private, reclaim float64
	for b.Loop() {
		b.StopTimer()
		if err := f.Freeze(b.Context()); err != nil {
			b.Fatal(err)
		}
		begun := time.Now()
		if err := f.Reclaim(b.Context()); err != nil {
			b.Fatal(err)
		}
		reclaim += time.Since(begun).Seconds() * 1e3
		private += privateMB(b, r.PID())
		b.StartTimer()
		if err := f.Thaw(); err != nil {
			b.Fatal(err)
		}
		ask()
	}
	b.ReportMetric(private/float64(b.N), "private-MB")
	b.ReportMetric(reclaim/float64(b.N), "reclaim-ms")
}

// startNode starts a Node.js process that answers each line with one.
func startNode(b *testing.B, sb sandbox.Sandbox) (r *sandboxtest.Running, ask func()) {
	b.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = out.Close() })
	r = sandboxtest.Start(b, sb, sandbox.Command{
		Path: "/usr/bin/node", Env: []string{"PATH=/usr/bin:/bin"}, Files: []*os.File{in},
		Args: []string{"node", "-e", "require('fs').createReadStream('', {fd: 3}).on('data', () => console.log('answer'))"},
	})
	_ = in.Close()
	ask = func() {
		fmt.Fprintln(out, "question")
		if _, err := r.Output.Read(make([]byte, 64)); err != nil {
			b.Fatal(err)
		}
	}
	ask()
	return r, ask
}

// privateMB is the memory that a process shares with nobody.
func privateMB(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	total := 0.0
	for line := range strings.Lines(string(text)) {
		var kb float64
		if name, value, _ := strings.Cut(line, ":"); strings.HasPrefix(name, "Private_") {
			if _, err := fmt.Sscan(value, &kb); err != nil {
				b.Fatal(err)
			}
			total += kb / 1024
		}
	}
	return total
}

// BenchmarkThaw freezes a sandbox off the clock and wakes it.
func BenchmarkThaw(b *testing.B) {
	sb := sandboxtest.Create(b, benchDriver(b, linux.Config{}), sandboxtest.Spec("thaw"))
	if _, err := sb.Start(b.Context(), sandboxtest.Shell("exec sleep 1000")); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if err := sandboxtest.Freeze(b, sb); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := sandboxtest.Thaw(b, sb); err != nil {
			b.Fatal(err)
		}
	}
}
