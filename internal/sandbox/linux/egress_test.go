//go:build linux

package linux_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

// alone is set in the environment of the test binary when it runs inside a
// network namespace without any way out.
const alone = "MAYFLY_TEST_ALONE"

// withEgress calls do with the network of package egress, in a run of the test
// alone inside another network namespace: it would change the machine's own. The
// package needs root.
func withEgress(t *testing.T, do func(t *testing.T, network linux.Network)) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if os.Getenv(alone) == "" {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^"+t.Name()+"$", "-test.count=1")
		cmd.Env = append(os.Environ(), alone+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if ifs, err := net.Interfaces(); err != nil || len(ifs) != 1 {
		t.Fatalf("not alone: %v, %v", ifs, err)
	}
	m, err := egress.New(egress.Config{NodeID: "suite"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	do(t, linux.Egress(m))
}

func TestSuiteWithEgress(t *testing.T) {
	withEgress(t, func(t *testing.T, network linux.Network) {
		t.Helper()
		newDriver := func(t *testing.T) sandbox.Driver {
			t.Helper()
			return driverOf(t, linux.Config{NodeID: "suite", Network: network})
		}
		sandboxtest.Run(t, newDriver)
		spec := sandboxtest.Spec("resolver")
		spec.Egress.Mode = function.EgressInternet
		if out, _ := sandboxtest.Output(t, newDriver(t), spec, sandboxtest.Shell("cat /etc/resolv.conf")); !strings.Contains(out, "nameserver") {
			t.Errorf("resolv.conf holds %q", out)
		}
	})
}
