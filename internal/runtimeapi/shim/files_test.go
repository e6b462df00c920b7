package shim_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi/shim"
	"mayfly.dev/mayfly/internal/sandbox"
)

func runtimeMount(t *testing.T, dir string) sandbox.Mount {
	t.Helper()
	a, err := shim.New(shim.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range a.Mounts(language.Interpreter{Family: language.Node, Path: "/usr/bin/node"}) {
		if m.Target == "/var/runtime" {
			return m
		}
	}
	t.Fatal("nothing is mounted at /var/runtime")
	return sandbox.Mount{}
}

func TestShimFilesAreWrittenOnceAndReadable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	first := runtimeMount(t, dir)
	err := filepath.WalkDir(first.Source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if want := map[bool]fs.FileMode{true: 0o755, false: 0o644}[d.IsDir()]; err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(first.Source, "node", "bootstrap.js")
	before, err := os.Stat(script)
	if err != nil {
		t.Fatal(err)
	}
	if second := runtimeMount(t, dir); second != first {
		t.Errorf("the second start mounts %v, the first %v", second, first)
	}
	if after, err := os.Stat(script); err != nil || !os.SameFile(before, after) {
		t.Errorf("the files were written again: %v", err)
	}
}

func TestLeftoversOfOtherBuildsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"shim-0123456789abcdef/node", "shim-new-12345/node", "other/file"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	keep := filepath.Base(runtimeMount(t, dir).Source)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got, want := strings.Join(names, " "), "other "+keep; got != want {
		t.Errorf("left: %s, want %s", got, want)
	}
}

func TestInterpreterOutsideTheSystemIsMounted(t *testing.T) {
	in := language.Interpreter{Family: language.Python, Path: "/opt/py/bin/python3", Prefix: "/opt/py"}
	mounts := newAdapter(t).Mounts(in)
	if got, want := mounts[len(mounts)-1], (sandbox.Mount{Source: "/opt/py", Target: "/opt/py"}); got != want {
		t.Errorf("last mount %v, want %v", got, want)
	}
}

func TestDirectoryIsNeeded(t *testing.T) {
	if _, err := shim.New(shim.Config{}); err == nil {
		t.Error("New without a directory succeeded")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := shim.New(shim.Config{Dir: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("New in a file: %v", err)
	}
}

func TestPrepareCompilesThePythonShim(t *testing.T) {
	a := newAdapter(t)
	for _, f := range []language.Family{language.Node, language.Python} {
		for range 2 {
			if err := a.Prepare(t.Context(), interpreter(t, f)); err != nil {
				t.Fatal(err)
			}
		}
	}
	compiled, err := filepath.Glob(filepath.Join(a.Mounts(language.Interpreter{})[0].Source, "python/mayfly_shim/__pycache__/*.pyc"))
	if err != nil || len(compiled) == 0 {
		t.Errorf("byte code: %v, %v", compiled, err)
	}
	s := pythonFile("def handler(event, context):\n    return 'ok'\n")
	s.adapter = a
	if got := start(t, s).call(`{}`); got != `"ok"` {
		t.Errorf("got %s", got)
	}
	if err := a.Prepare(t.Context(), language.Interpreter{Family: language.Python, Version: "3.99.0", Path: "/bin/false"}); err == nil {
		t.Error("Prepare with a program that fails succeeded")
	}
}
