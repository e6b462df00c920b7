package compat_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// jsClients installs the AWS SDK for JavaScript under .cache, once for each lock
// file, and returns the directory.
func jsClients(t *testing.T) string {
	t.Helper()
	lock, err := os.ReadFile("js/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile("js/package.json")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append(lock, manifest...))
	dir, err := filepath.Abs(filepath.Join("..", "..", ".cache", "compat-js-"+hex.EncodeToString(sum[:6])))
	if err != nil {
		t.Fatal(err)
	}
	done := filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return dir
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "package.json"), manifest, 0o600),
		os.WriteFile(filepath.Join(dir, "package-lock.json"), lock, 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestJavaScriptSDK runs js/suite.mjs beside the installed SDK.
func TestJavaScriptSDK(t *testing.T) {
	dir := jsClients(t)
	suite, err := os.ReadFile("js/suite.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "suite.mjs"), suite, 0o600); err != nil {
		t.Fatal(err)
	}
	code := filepath.Join(t.TempDir(), "code.zip")
	if err := os.WriteFile(code, zipped(t, "index.js", source), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=tap", "suite.mjs")
	cmd.Dir = dir
	cmd.Env = append(node.Env(), "CODE="+code, "ROLE="+role)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
