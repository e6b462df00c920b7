//go:build linux

package linux_test

import (
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
