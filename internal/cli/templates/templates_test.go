package templates_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/cli/build"
	"mayfly.dev/mayfly/internal/cli/manifest"
	"mayfly.dev/mayfly/internal/cli/templates"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/language"
)

func TestEveryTemplateIsDetectedAndDescribed(t *testing.T) {
	want := map[string]struct {
		kind    build.Kind
		handler string
	}{
		"node":       {build.Node, "index.handler"},
		"node-esm":   {build.Node, "index.handler"},
		"typescript": {build.TypeScript, "index.handler"},
		"python":     {build.Python, "handler.handler"},
		"go":         {build.Go, "bootstrap"},
		"bash":       {build.Bootstrap, "bootstrap"},
	}
	for _, name := range templates.Names() {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new")
			written, err := templates.Write(dir, name, "my-fn")
			if err != nil {
				t.Fatal(err)
			}
			src, err := build.Detect(build.Request{Path: dir, Newest: func(f language.Family) (string, error) { return string(f) + "1", nil }})
			if err != nil {
				t.Fatal(err)
			}
			if src.Kind != want[name].kind || src.Handler != want[name].handler || len(src.Warnings) > 0 {
				t.Errorf("detected %s %s with %q, want %v", src.Kind, src.Handler, src.Warnings, want[name])
			}
			app, err := manifest.Read(dir, os.LookupEnv)
			if err != nil {
				t.Fatal(err)
			}
			if app.Functions["my-fn"] == nil || app.Path(app.Functions["my-fn"]) != dir {
				t.Errorf("manifest = %+v, want my-fn in %s", app, dir)
			}
			for _, file := range written {
				text, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil || strings.Contains(string(text), "{{") {
					t.Errorf("%s: unfilled or unreadable (%v)", file, err)
				}
			}
		})
	}
}

func TestScriptsAreExecutable(t *testing.T) {
	dir := t.TempDir()
	if _, err := templates.Write(dir, "bash", "b"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "bash", "-n", filepath.Join(dir, "bootstrap")).CombinedOutput(); err != nil {
		t.Errorf("bash -n: %v\n%s", err, out)
	}
	info, err := os.Stat(filepath.Join(dir, "bootstrap"))
	if err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("mode = %v, %v; want executable", info.Mode(), err)
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "README.md")
	if err := os.WriteFile(kept, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := templates.Write(dir, "node", "f"); !fault.Is(err, fault.AlreadyExists, "FileExists") {
		t.Errorf("got %v, want FileExists", err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Errorf("the folder holds %v, want README.md alone", list)
	}
}

func TestUnknownTemplateAndBadName(t *testing.T) {
	if _, err := templates.Write(t.TempDir(), "cobol", "f"); !fault.Is(err, fault.Invalid, "UnknownTemplate") {
		t.Errorf("got %v, want UnknownTemplate", err)
	}
	if _, err := templates.Write(t.TempDir(), "node", "a b"); !fault.Is(err, fault.Invalid, "FunctionName") {
		t.Errorf("got %v, want FunctionName", err)
	}
}
