package language

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// installation is a machine with made-up interpreters: scripts that answer as
// the real ones would and note that they were asked.
type installation struct {
	t    *testing.T
	dir  string
	vars map[string]string
	path []string
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &installation{t: t, dir: dir, vars: map[string]string{}}
}

// add makes a program that says it is version, installed to home.
func (i *installation) add(file, version, home string) string {
	i.t.Helper()
	path := filepath.Join(i.dir, file)
	i.script(file, fmt.Sprintf("echo %s\necho %s\necho %s", version, path, filepath.Join(i.dir, home)))
	return path
}

func (i *installation) script(file, body string) {
	i.t.Helper()
	path := filepath.Join(i.dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		i.t.Fatal(err)
	}
	body = fmt.Sprintf("#!/bin/sh\necho asked >> %s.asked\n%s\n", path, body)
	if err := os.WriteFile(path, []byte(body), 0o755); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) asked(file string) int {
	b, err := os.ReadFile(filepath.Join(i.dir, file+".asked"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		i.t.Fatal(err)
	}
	return strings.Count(string(b), "asked")
}

func (i *installation) finder() Finder {
	var dirs []string
	for _, d := range i.path {
		dirs = append(dirs, filepath.Join(i.dir, d))
	}
	return Finder{
		CacheFile: filepath.Join(i.dir, "state", "interpreters.json"),
		places: &places{
			path: strings.Join(dirs, ":"),
			home: filepath.Join(i.dir, "home"),
			root: i.dir,
			env:  func(name string) string { return i.vars[name] },
		},
	}
}

// scan returns what is found as "version path prefix", below the directory.
func (i *installation) scan() []string {
	i.t.Helper()
	found, err := i.finder().Scan(i.t.Context())
	if err != nil {
		i.t.Fatal(err)
	}
	var lines []string
	for _, in := range found {
		line := string(in.Family) + " " + in.Version + " " + in.Path + " " + in.Prefix
		lines = append(lines, strings.ReplaceAll(line, i.dir+"/", ""))
	}
	return lines
}

func TestScanFindsVersionManagers(t *testing.T) {
	i := newInstallation(t)
	i.vars["NVM_DIR"] = filepath.Join(i.dir, "nvm")
	i.add("home/.pyenv/versions/3.12.1/bin/python3.12", "3.12.1", "home/.pyenv/versions/3.12.1")
	i.add("nvm/versions/node/v22.1.0/bin/node", "22.1.0", "nvm/versions/node/v22.1.0")
	i.add("home/.volta/tools/image/node/24.0.0/bin/node", "24.0.0", "home/.volta/tools/image/node/24.0.0")
	i.add("home/.local/share/fnm/node-versions/v20.1.0/installation/bin/node", "20.1.0", "home/.local/share/fnm/node-versions/v20.1.0/installation")
	i.add("home/.asdf/installs/python/3.10.0/bin/python3", "3.10.0", "home/.asdf/installs/python/3.10.0")
	i.add("home/.local/share/mise/installs/node/18.2.0/bin/node", "18.2.0", "home/.local/share/mise/installs/node/18.2.0")
	i.add("home/.local/share/uv/python/cpython-3.13/bin/python3.13", "3.13.0", "home/.local/share/uv/python/cpython-3.13")
	i.add("opt/python/3.14/bin/python3", "3.14.0", "opt/python/3.14")
	want := []string{
		"nodejs 18.2.0 home/.local/share/mise/installs/node/18.2.0/bin/node home/.local/share/mise/installs/node/18.2.0",
		"nodejs 20.1.0 home/.local/share/fnm/node-versions/v20.1.0/installation/bin/node home/.local/share/fnm/node-versions/v20.1.0/installation",
		"nodejs 22.1.0 nvm/versions/node/v22.1.0/bin/node nvm/versions/node/v22.1.0",
		"nodejs 24.0.0 home/.volta/tools/image/node/24.0.0/bin/node home/.volta/tools/image/node/24.0.0",
		"python 3.10.0 home/.asdf/installs/python/3.10.0/bin/python3 home/.asdf/installs/python/3.10.0",
		"python 3.12.1 home/.pyenv/versions/3.12.1/bin/python3.12 home/.pyenv/versions/3.12.1",
		"python 3.13.0 home/.local/share/uv/python/cpython-3.13/bin/python3.13 home/.local/share/uv/python/cpython-3.13",
		"python 3.14.0 opt/python/3.14/bin/python3 opt/python/3.14",
	}
	if diff := cmp.Diff(want, i.scan()); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestScanLooksBehindShims(t *testing.T) {
	i := newInstallation(t)
	i.path = []string{"elsewhere/shims", "bin"}
	program := i.add("elsewhere/versions/3.11.7/bin/python3.11", "3.11.7", "elsewhere/versions/3.11.7")
	i.script("elsewhere/shims/python3", "exit 1")
	i.script("bin/python3", program) // a wrapper that runs the real one
	want := []string{"python 3.11.7 elsewhere/versions/3.11.7/bin/python3.11 elsewhere/versions/3.11.7"}
	if diff := cmp.Diff(want, i.scan()); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if n := i.asked("elsewhere/shims/python3"); n != 0 {
		t.Errorf("the shim was run %d times", n)
	}
}

func TestScanPassesOverWhatIsNoInterpreter(t *testing.T) {
	i := newInstallation(t)
	i.path = []string{"bin", "missing", "relative"}
	i.add("bin/python3.7", "3.7.16", "")
	i.add("bin/node", "16.20.0", "")
	i.script("bin/python3.9", "exit 3")
	i.script("bin/python3.10", "echo hello")
	i.script("bin/python3.12", "kill -9 $$")
	i.add("bin/python3.13-config", "3.13.0", "")
	if err := os.WriteFile(filepath.Join(i.dir, "bin/python3.14"), []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(i.dir, "bin/python3.15")); err != nil {
		t.Fatal(err)
	}
	if got := i.scan(); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}

func TestScanRemembersAnswers(t *testing.T) {
	i := newInstallation(t)
	i.path = []string{"bin"}
	i.add("bin/python3.12", "3.12.1", "")
	i.script("bin/python3.9", "exit 3")
	i.script("bin/python3.8", "kill -9 $$") // perhaps out of memory: asked again
	first := i.scan()
	if diff := cmp.Diff(first, i.scan()); diff != "" {
		t.Errorf("second scan (-first +second):\n%s", diff)
	}
	for file, want := range map[string]int{"bin/python3.12": 1, "bin/python3.9": 1, "bin/python3.8": 2} {
		if got := i.asked(file); got != want {
			t.Errorf("%s was asked %d times, want %d", file, got, want)
		}
	}
	i.add("bin/python3.12", "3.12.10", "") // another size
	if got := i.scan(); len(got) != 1 || !strings.Contains(got[0], "3.12.10") {
		t.Errorf("after an upgrade: %v", got)
	}
}

func TestScanForgetsWhatIsGone(t *testing.T) {
	i := newInstallation(t)
	i.path = []string{"bin"}
	program := i.add("lib/python3.12", "3.12.1", "")
	i.script("bin/python3", program)
	if got := i.scan(); len(got) != 1 {
		t.Fatalf("found %v", got)
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if got := i.scan(); len(got) != 0 {
		t.Errorf("found %v after the interpreter was removed", got)
	}
}

func TestScanRepairsADamagedCache(t *testing.T) {
	i := newInstallation(t)
	i.path = []string{"bin"}
	i.add("bin/node", "20.0.0", "")
	file := i.finder().CacheFile
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`{"half`), 0o600); err != nil {
		t.Fatal(err)
	}
	i.scan()
	i.scan()
	if n := i.asked("bin/node"); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	i := newInstallation(t)
	i.path = []string{"bin"}
	i.add("bin/node", "20.0.0", "")
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("stop")
	cancel(cause)
	if _, err := i.finder().Scan(ctx); !errors.Is(err, cause) {
		t.Errorf("Scan: %v, want %v", err, cause)
	}
}

func TestScanFindsThisMachinesInterpreters(t *testing.T) {
	found, err := Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []Family{Node, Python} {
		if len(Lines(f, found)) == 0 {
			t.Errorf("no %s among %+v", f.program(), found)
		}
	}
}

func TestPrefix(t *testing.T) {
	tests := []struct{ path, home, want string }{
		{"/usr/bin/node", "/usr", ""},
		{"/usr/local/bin/python3.13", "/usr/local", ""},
		{"/root/.pyenv/versions/3.11.7/bin/python3.11", "/root/.pyenv/versions/3.11.7", "/root/.pyenv/versions/3.11.7"},
		{"/nix/store/abc-nodejs/bin/node", "/nix/store/abc-nodejs", "/nix/store"},
		{"/home/linuxbrew/.linuxbrew/Cellar/node/22/bin/node", "/home/linuxbrew/.linuxbrew/Cellar/node/22", "/home/linuxbrew/.linuxbrew"},
	}
	for _, tt := range tests {
		if got := prefix(tt.path, tt.home); got != tt.want {
			t.Errorf("prefix(%s) = %q, want %q", tt.path, got, tt.want)
		}
	}
}

func TestParseRelease(t *testing.T) {
	tests := []struct {
		in   string
		want release
	}{
		{"20.20.2", release{20, 20, 2}},
		{"v18.0.0", release{18, 0, 0}},
		{"3.15.0rc1", release{3, 15, 0}},
		{"22.x", release{22, 0, 0}},
		{"3.11", release{3, 11, 0}},
		{"", release{}},
		{"99999999999999999999", release{}},
	}
	for _, tt := range tests {
		if got := parseRelease(tt.in); got != tt.want {
			t.Errorf("parseRelease(%q) = %v, want %v", tt.in, got, tt.want)
		}
	}
}

func FuzzInterpret(f *testing.F) {
	f.Add("20.20.2\n/usr/bin/node\n/usr")
	f.Add("3.11.7\n/bin/sh\n/")
	f.Add("")
	f.Add("-1.9999999999999999999999.\n\n\n\n")
	f.Fuzz(func(t *testing.T, answer string) {
		in, err := interpret(Python, answer)
		if err == nil && !filepath.IsAbs(in.Path) {
			t.Errorf("interpret(%q) = %+v: the path is not absolute", answer, in)
		}
	})
}
