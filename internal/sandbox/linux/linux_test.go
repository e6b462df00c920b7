//go:build linux

package linux_test

import (
	"os"
	"sync/atomic"
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
	return driverOf(t, linux.Config{NodeID: "test"})
}

const usersOfDriver = 1000

var drivers atomic.Int32 // that this run has made

// driverOf returns a driver that lives as long as the test.
func driverOf(t *testing.T, cfg linux.Config) *linux.Driver {
	t.Helper()
	cfg.StateDir = t.TempDir()
	// The kernel counts the processes of a user on the whole machine.
	cfg.UIDs = usersOfDriver
	cfg.FirstUID = 3_000_000 + usersOfDriver*int(drivers.Add(1))
	d, err := linux.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := d.Sweep(t.Context()); err != nil { // a run that was killed
		t.Fatal(err)
	}
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
