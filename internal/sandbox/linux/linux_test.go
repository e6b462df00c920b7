//go:build linux

package linux_test

import (
	"io"
	"os"
	"testing"

	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
)

func TestSmoke(t *testing.T) {
	d, err := linux.New(linux.Config{StateDir: t.TempDir(), NodeID: "smoke"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	t.Log(d.Gaps())
	sb, err := d.Create(t.Context(), sandbox.Spec{ID: "a", MemoryBytes: 128 << 20, MilliCPU: 1000, PIDs: 100, OpenFiles: 1024, TmpBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	r, w, _ := os.Pipe()
	p, err := sb.Start(t.Context(), sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", os.Getenv("CMD")}, Env: []string{"PATH=/usr/bin:/bin"}, Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		sb.Destroy(t.Context())
		t.Fatal(err)
	}
	b, _ := io.ReadAll(r)
	<-p.Done()
	u, err := sb.Usage()
	t.Logf("%s\n%v %+v %v", b, p.Exit(), u, err)
	if err := sb.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
}
