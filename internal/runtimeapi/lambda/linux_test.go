//go:build linux

package lambda_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/sandbox/linux"
)

// TestInLinuxSandbox runs a shell script and a Go program isolated, under a uid
// of their own: where only their own network leads to the Runtime API, and where
// /dev/stderr is a pipe of somebody else's.
func TestInLinuxSandbox(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	sandboxed := func(t *testing.T) *host {
		t.Helper()
		d, err := linux.New(linux.Config{StateDir: t.TempDir(), NodeID: "runtimeapi", FirstUID: 2_200_000})
		if err != nil {
			t.Fatal(err)
		}
		return in(t, d)
	}
	t.Run("shell", func(t *testing.T) {
		h := sandboxed(t)
		content, err := os.ReadFile(filepath.Join("testdata", "shell.sh"))
		if err != nil {
			t.Fatal(err)
		}
		bootstrap(t, h, content)
		s, out := launch(t, h.Sandbox)
		ready(t, s)
		wantLines(t, out, "stdout: init in /var/task, root /var/task")
		wantResult(t, invoke(t, s, "l-1", `{"n":1}`), `{"got":{"n":1}}`, "")
		wantLines(t, out, `stdout: event {"n":1} until 4102444800123`, "stderr: to the error stream", "stdout: no line end")
	})
	t.Run("Go", func(t *testing.T) {
		h := sandboxed(t)
		built := goBootstrap(t)
		content, err := os.ReadFile(filepath.Join(built.task, "bootstrap"))
		if err != nil {
			t.Fatal(err)
		}
		bootstrap(t, h, content)
		s, out := launch(t, h.Sandbox)
		ready(t, s)
		if res := invoke(t, s, "l-1", `{"do":"echo"}`); res.FunctionError != "" || !strings.Contains(string(res.Payload), `"id":"l-1"`) {
			t.Errorf("payload = %s", res.Payload)
		}
		wantLines(t, out, "stdout: working on l-1")
	})
	t.Run("layer", func(t *testing.T) {
		h := sandboxed(t)
		program(t, h.opt, []byte("#!/bin/sh\necho from the layer\nexit 3\n"))
		s, out := launch(t, h.Sandbox)
		if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("ready = %v, want the exit of the layer's bootstrap", err)
		}
		wantLines(t, out, "stdout: from the layer")
	})
	t.Run("missing", func(t *testing.T) {
		s, _ := launch(t, sandboxed(t).Sandbox)
		if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "Runtime.InvalidEntrypoint") {
			t.Errorf("ready = %v, want Runtime.InvalidEntrypoint", err)
		}
	})
}
