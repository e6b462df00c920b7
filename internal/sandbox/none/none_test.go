//go:build unix

package none_test

import (
	"testing"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/none"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	sandboxtest.Inside(nil)
	goleak.VerifyTestMain(m)
}

func newDriver(t *testing.T) sandbox.Driver {
	t.Helper()
	d, err := none.New(none.Config{StateDir: t.TempDir()})
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

func TestHostPath(t *testing.T) {
	code, layer := t.TempDir(), t.TempDir()
	spec := sandboxtest.Spec("paths", sandbox.Mount{Source: code, Target: "/var/task"}, sandbox.Mount{Source: layer, Target: "/var/task/layer"})
	mapper, ok := sandboxtest.Create(t, newDriver(t), spec).(sandbox.PathMapper)
	if !ok {
		t.Fatal("the sandbox maps no paths")
	}
	for inside, want := range map[string]string{
		"/var/task":         code,
		"/var/task/a/b.py":  code + "/a/b.py",
		"/var/task/layer/x": layer + "/x",
		"/var/tasks":        "/var/tasks",
		"/usr/bin/node":     "/usr/bin/node",
	} {
		if got := mapper.HostPath(inside); got != want {
			t.Errorf("HostPath(%s) = %s, want %s", inside, got, want)
		}
	}
}
