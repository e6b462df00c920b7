//go:build linux

package linux_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user without any rights.
const nobody = 65534

// withoutRoot are the tests that pass without root as well. Those of cgroups and
// of user ids can't.
const withoutRoot = "^(TestSuite|TestHostileCallsAreRefused|TestForkBombStopsAtItsLimit|TestOpenFilesStopAtTheirLimit|" +
	"TestNothingIsLeftForTheNextSandbox|TestHostAndNeighbourCannotBeReached|TestSandboxesDieWithTheNode|TestGapsNameWhatIsMissing)$"

func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		return // the tests have just run without it
	}
	dir := openDir(t)
	binary := filepath.Join(dir, "linux.test")
	copyBinary(t, binary)
	cmd := exec.CommandContext(t.Context(), binary, "-test.run", withoutRoot, "-test.count=1")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// openDir returns a directory that every user may enter and write.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rootless") //nolint:usetesting // t.TempDir is in a directory of root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyBinary copies the running test binary, which is in a directory of root's.
func copyBinary(t *testing.T, to string) {
	t.Helper()
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestGapsNameWhatIsMissing(t *testing.T) {
	gaps := newDriver(t).Gaps()
	var all strings.Builder
	for _, g := range gaps {
		if g.What == "" || g.Why == "" || g.Fix == "" {
			t.Errorf("incomplete: %+v", g)
		}
		all.WriteString(g.What)
	}
	// The test's driver has no Network, so that is a gap for root too.
	words := []string{"outgoing traffic"}
	if os.Geteuid() != 0 {
		words = append(words, "user id of their own")
	}
	for _, word := range words {
		if !strings.Contains(all.String(), word) {
			t.Errorf("no gap says %q: %v", word, gaps)
		}
	}
}
