//go:build linux

package linux_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	sandboxtest.Inside(hostile)
	goleak.VerifyTestMain(m)
}

func newDriver(t *testing.T) sandbox.Driver {
	t.Helper()
	d, err := linux.New(linux.Config{StateDir: t.TempDir(), NodeID: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestSuite(t *testing.T) { sandboxtest.Run(t, newDriver) }

func TestStartsWhileTheNodeHasManyFilesOpen(t *testing.T) {
	for range 1200 { // more than a sandbox may have
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
	}
	works(t, newDriver(t)) // the driver's probe starts a process, too
}
