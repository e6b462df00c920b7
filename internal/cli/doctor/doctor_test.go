package doctor_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/cli/doctor"
	"mayfly.dev/mayfly/internal/language"
)

func scan(found ...language.Interpreter) func(context.Context) ([]language.Interpreter, error) {
	return func(context.Context) ([]language.Interpreter, error) { return found, nil }
}

func run(t *testing.T, change func(*doctor.Config)) map[string]doctor.Finding {
	t.Helper()
	cfg := doctor.Config{
		DataDir: filepath.Join(t.TempDir(), "not", "yet"), Control: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Scan: scan(language.Interpreter{Family: language.Node, Version: "20.1.0", Path: "/usr/bin/node"}),
	}
	change(&cfg)
	by := map[string]doctor.Finding{}
	for _, f := range doctor.Run(t.Context(), cfg) {
		if f.Detail == "" || (f.Status != doctor.OK) != (f.Fix != "") {
			t.Errorf("%s: a finding has a detail, and a fix if and only if something is to be fixed: %+v", f.Name, f)
		}
		by[f.Name] = f
	}
	return by
}

func TestEveryProbeReports(t *testing.T) {
	by := run(t, func(*doctor.Config) {})
	if f := by["nodejs"]; f.Status != doctor.OK || f.Detail != "20.1.0 (/usr/bin/node)" {
		t.Errorf("nodejs = %+v", f)
	}
	if f := by["python"]; f.Status != doctor.Warn {
		t.Errorf("python = %+v, want a warning", f)
	}
	for _, name := range []string{"data directory", "control plane", "data plane"} {
		if by[name].Status != doctor.OK {
			t.Errorf("%s = %+v, want ok", name, by[name])
		}
	}
}

func TestAddresses(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer node.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	busy := other.Listener.Addr().String()

	by := run(t, func(c *doctor.Config) { c.Control, c.Gateway = node.Listener.Addr().String(), busy })
	for _, name := range []string{"control plane", "data plane"} {
		if f := by[name]; f.Status != doctor.OK || !strings.Contains(f.Detail, "a node is running") {
			t.Errorf("with a running node, %s = %+v, want ok", name, f)
		}
	}
	by = run(t, func(c *doctor.Config) { c.Gateway = busy })
	if f := by["data plane"]; f.Status != doctor.Fail || !strings.Contains(f.Fix, "--gateway") {
		t.Errorf("an address in use without a node: %+v, want a failure", f)
	}
}

func TestDataDirectoryThatCannotBeWritten(t *testing.T) {
	by := run(t, func(c *doctor.Config) { c.DataDir = "/proc/mayfly" })
	if f := by["data directory"]; f.Status != doctor.Fail || !strings.Contains(f.Fix, "--data-dir") {
		t.Errorf("data directory = %+v, want a failure", f)
	}
}

func TestFailedScanIsAWarning(t *testing.T) {
	by := run(t, func(c *doctor.Config) {
		c.Scan = func(context.Context) ([]language.Interpreter, error) { return nil, errors.New("no PATH") }
	})
	if f := by["languages"]; f.Status != doctor.Warn || !strings.Contains(f.Detail, "no PATH") {
		t.Errorf("languages = %+v", f)
	}
}

func TestProbesLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	before, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	run(t, func(c *doctor.Config) { c.DataDir = dir })
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the data directory holds %v, %v", left, err)
	}
	after, err := net.Interfaces()
	if err != nil || len(after) != len(before) {
		t.Errorf("network interfaces: %d before, %d after (%v)", len(before), len(after), err)
	}
}

func TestWorst(t *testing.T) {
	for want, statuses := range map[doctor.Status][]doctor.Status{
		doctor.OK: {doctor.OK}, doctor.Warn: {doctor.OK, doctor.Warn, doctor.OK}, doctor.Fail: {doctor.Warn, doctor.Fail, doctor.OK},
	} {
		var findings []doctor.Finding
		for _, s := range statuses {
			findings = append(findings, doctor.Finding{Status: s})
		}
		if got := doctor.Worst(findings); got != want {
			t.Errorf("worst of %v = %s, want %s", statuses, got, want)
		}
	}
}
