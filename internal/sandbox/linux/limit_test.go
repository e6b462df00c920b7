//go:build linux

package linux_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

func TestLimitsChangeWhileRunning(t *testing.T) {
	d := newDriver(t)
	spec := sandboxtest.Spec("limits", sandboxtest.Binary(t))
	spec.MilliCPU = 100
	sb := sandboxtest.Create(t, d, spec)
	limiter, ok := sb.(sandbox.Limiter)
	if !ok {
		t.Fatal("the limits can't change")
	}
	for _, milliCPU := range []int{2000, 50, 1000} { // up and down, in both orders of the kernel's checks
		if err := limiter.Limit(64<<20, milliCPU); err != nil {
			t.Errorf("limit to %d: %v", milliCPU, err)
		}
	}
	if err := limiter.Limit(0, 1000); !fault.Is(err, fault.Invalid, "SandboxLimits") {
		t.Errorf("no memory: %v", err)
	}
	_, exit := sandboxtest.Start(t, sb, inside("eat")).Finish(t)
	u, err := sb.Usage()
	if exit.Signal != "killed" || err != nil || u.PeakMemoryBytes > 65<<20 {
		t.Errorf("%v, %+v, %v: want killed at the new limit", exit, u, err)
	}
}

// TestOrphansThatEndedAreCounted lets the first process, which waits for nobody,
// inherit children that end.
func TestOrphansThatEndedAreCounted(t *testing.T) {
	const orphans = 20
	sb := sandboxtest.Create(t, newDriver(t), sandboxtest.Spec("orphans"))
	script := "i=0; while [ $i -lt 20 ]; do (sleep 0.5 &); i=$((i+1)); done; exec sleep 1000 >/dev/null 2>&1"
	r := sandboxtest.Start(t, sb, sandboxtest.Shell(script))
	if _, err := io.Copy(io.Discard, r.Output); err != nil { // ends with the last orphan
		t.Fatal(err)
	}
	if u, err := sb.Usage(); err != nil || u.PIDs != orphans+1 {
		t.Errorf("%d processes, %v; want the first and %d that nobody waits for", u.PIDs, err, orphans)
	}
}

func TestBadConfiguration(t *testing.T) {
	for reason, cfg := range map[string]linux.Config{
		"StateDir": {StateDir: "relative", NodeID: "x"},
		"NodeID":   {StateDir: t.TempDir(), NodeID: "../x"},
		"UIDs":     {StateDir: t.TempDir(), NodeID: "x", FirstUID: -5},
	} {
		if d, err := linux.New(cfg); !fault.Is(err, fault.Invalid, reason) {
			t.Errorf("%+v: %v, want %s", cfg, err, reason)
			if d != nil {
				_ = d.Close()
			}
		}
	}
}

func TestMountTargetsMayNotHideTheSandboxsOwn(t *testing.T) {
	d := newDriver(t)
	for _, target := range []string{"/proc", "/tmp/x", "/etc/passwd", "/dev/null", "relative", "/var/../etc", "/"} {
		sb, err := d.Create(t.Context(), sandboxtest.Spec("target", sandbox.Mount{Source: t.TempDir(), Target: target}))
		if !fault.Is(err, fault.Invalid, "SandboxMount") {
			t.Errorf("%s: %v", target, err)
			if err == nil {
				sandboxtest.Destroy(t, sb)
			}
		}
	}
}

// An interpreter outside /usr brings its prefix, whose parents the sandbox lacks.
func TestMountsAnywhere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho tool ran"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := sandboxtest.Spec("prefix", sandbox.Mount{Source: dir, Target: "/root/.tools/versions/1.2/bin"},
		sandbox.Mount{Source: filepath.Join(dir, "tool"), Target: "/opt/single-file"})
	out, exit := sandboxtest.Output(t, newDriver(t), spec,
		sandboxtest.Shell("/root/.tools/versions/1.2/bin/tool; /opt/single-file; ls -d /root/.tools; ls /root/.bashrc"))
	if !strings.HasPrefix(out, "tool ran\ntool ran\n/root/.tools\n") || exit.Code == 0 {
		t.Errorf("got %q, %v", out, exit)
	}
}
