// Package archtest checks the arrows of ARCHITECTURE.md: which package may
// import which.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "mayfly.dev/mayfly/"

// rows is the table of ARCHITECTURE.md. A package may import only packages of
// earlier rows, and its own parents. A name covers the packages below it.
var rows = [][]string{
	{"internal/fault"},
	{"internal/function", "internal/archive"},
	{"internal/invocation", "internal/engine", "internal/sandbox", "internal/language", "internal/auth", "internal/autoscaler"},
	{"internal/runtimeapi", "internal/catalog", "internal/telemetry", "internal/sim"},
	{"internal/environment"},
	{"internal/pool"},
	{"internal/dispatch"},
	{"internal/gateway", "internal/api"},
	{"internal/config"},
	{"internal/server"},
	{"internal/cli"},
	{"cmd"},
}

// insiders are the packages that name concrete implementations of a family:
// only those listed may import them.
var insiders = map[string][]string{
	"internal/sandbox/linux":     {"internal/server", "internal/cli", "test"},
	"internal/sandbox/none":      {"internal/server", "internal/cli", "test"},
	"internal/runtimeapi/shim":   {"internal/server", "test"},
	"internal/runtimeapi/lambda": {"internal/server", "test"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestPackagesImportOnlyEarlierRows(t *testing.T) {
	for _, p := range list(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		if !strings.HasPrefix(from, "internal/") && !strings.HasPrefix(from, "cmd/") || from == "internal/archtest" {
			continue
		}
		row, family := place(from)
		if row < 0 {
			t.Errorf("%s has no row: add it to the table here and in ARCHITECTURE.md", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, module)
			if !ours || !strings.HasPrefix(to, "internal/") {
				continue
			}
			toRow, toFamily := place(to)
			switch {
			case toFamily == family: // within a family the arrows are free of cycles by the compiler's word
			case toRow < 0 || toRow >= row:
				t.Errorf("%s (row %d) imports %s (row %d): arrows point to earlier rows only", from, row, to, toRow)
			}
			if allowed, guarded := insiders[guard(to)]; guarded && !within(from, append(allowed, guard(to))) {
				t.Errorf("%s imports %s: only %v may name a concrete implementation", from, to, allowed)
			}
		}
	}
}

// place returns the row of a package and the table's name that covers it.
func place(pkg string) (row int, family string) {
	for i, names := range rows {
		for _, name := range names {
			if pkg == name || strings.HasPrefix(pkg, name+"/") {
				return i, name
			}
		}
	}
	return -1, ""
}

func guard(pkg string) string {
	for name := range insiders {
		if pkg == name || strings.HasPrefix(pkg, name+"/") {
			return name
		}
	}
	return ""
}

func within(pkg string, names []string) bool {
	for _, name := range names {
		if pkg == name || strings.HasPrefix(pkg, name+"/") {
			return true
		}
	}
	return false
}

func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		all = append(all, p)
	}
}
