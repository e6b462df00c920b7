// Package enginetest kills processes that write to the engine, for the tests of
// what survives that.
package enginetest

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// Kill starts the test binary again with the directory dir as its argument and
// child, a variable such as "NAME=value", in its environment. It kills the
// process once that has said n lines, and returns all lines that it said.
func Kill(t *testing.T, child, dir string, n int) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir) //nolint:gosec // the test itself
	cmd.Env = append(os.Environ(), child)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		said = append(said, lines.Text())
		if len(said) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if len(said) < n {
		t.Fatalf("the process ended after %d lines: %s", len(said), stderr.String())
	}
	return said
}
