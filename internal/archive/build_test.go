package archive_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/archive"
	"mayfly.dev/mayfly/internal/fault"
)

// folder makes a directory of files; a name that ends in * is executable, a
// content that begins with "-> " makes a link.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		mode := os.FileMode(0o600)
		if bare, ok := strings.CutSuffix(name, "*"); ok {
			name, mode = bare, 0o700
		}
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(to, p)
		} else {
			err = os.WriteFile(p, []byte(content), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func build(t *testing.T, root string, ignore archive.Ignore) []byte {
	t.Helper()
	var buf bytes.Buffer
	built, err := archive.Build(t.Context(), &buf, root, archive.DefaultLimits, ignore)
	if err != nil {
		t.Fatal(err)
	}
	if checked, err := archive.Check(buf.Bytes(), archive.DefaultLimits); err != nil || checked != built {
		t.Errorf("build says %+v; check says %+v, %v", built, checked, err)
	}
	return buf.Bytes()
}

func TestBuildThenUnpackIsTheSame(t *testing.T) {
	root := folder(t, map[string]string{
		"index.js": "code", "lib/a.js": "a", "bootstrap*": "#!/bin/sh", "lib/link": "-> ../index.js",
		".git/config": "private", "node_modules/x/y.js": "y", "skip.log": "log",
	})
	data := build(t, root, func(p string, isDir bool) bool {
		return isDir && p == ".git" || strings.HasSuffix(p, ".log")
	})
	dir := filepath.Join(t.TempDir(), "code")
	if _, err := archive.Unpack(t.Context(), data, dir, archive.DefaultLimits); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"index.js": "-rw-r--r-- code", "lib": "drwxr-xr-x", "lib/a.js": "-rw-r--r-- a",
		"lib/link": "-> ../index.js", "bootstrap": "-rwxr-xr-x #!/bin/sh",
		"node_modules": "drwxr-xr-x", "node_modules/x": "drwxr-xr-x", "node_modules/x/y.js": "-rw-r--r-- y",
	}
	if diff := cmp.Diff(want, list(t, dir)); diff != "" {
		t.Errorf("unpacked (-want +got):\n%s", diff)
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	files := map[string]string{"b.js": "b", "a.js": "a", "d/c.js": "c", "run*": "x"}
	first, second := folder(t, files), folder(t, files)
	old := time.Unix(1_000_000_000, 0)
	if err := os.Chtimes(filepath.Join(second, "a.js"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(second, "b.js"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(build(t, first, nil), build(t, second, nil)) {
		t.Error("the same folder made two different packages")
	}
}

func TestBuildOfASingleFile(t *testing.T) {
	root := folder(t, map[string]string{"hello.py": "def handler(e, c): pass"})
	dir := filepath.Join(t.TempDir(), "code")
	if _, err := archive.Unpack(t.Context(), build(t, filepath.Join(root, "hello.py"), nil), dir, archive.DefaultLimits); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); len(got) != 1 || got["hello.py"] == "" {
		t.Errorf("unpacked %v", got)
	}
}

func TestBuildRefuses(t *testing.T) {
	pipe := folder(t, map[string]string{"a": "a"})
	if err := syscall.Mkfifo(filepath.Join(pipe, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	small := archive.DefaultLimits
	small.ZipBytes, small.UnzippedBytes, small.Nodes = 4096, 8192, 20
	many := map[string]string{}
	for _, c := range "abcdefghijklmnopqrstuvwxyz" {
		many[string(c)] = "x"
	}
	cases := []struct {
		name, root string
		kind       fault.Kind
		reason     string
	}{
		{"an empty folder", t.TempDir(), fault.Invalid, "EmptyPackage"},
		{"a link out", folder(t, map[string]string{"a": "a", "l": "-> ../../x"}), fault.Invalid, "UnsafePath"},
		{"an absolute link", folder(t, map[string]string{"a": "a", "l": "-> /etc"}), fault.Invalid, "UnsafePath"},
		{"a pipe", pipe, fault.Invalid, "UnsupportedEntry"},
		{"too many files", folder(t, many), fault.TooLarge, "TooManyFiles"},
		{"too much data", folder(t, map[string]string{"a": strings.Repeat("a", 9000)}), fault.TooLarge, "UnzippedTooLarge"},
		{"too large a package", folder(t, map[string]string{"a": random(8000)}), fault.TooLarge, "PackageTooLarge"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := archive.Build(t.Context(), io.Discard, c.root, small, nil)
			if !fault.Is(err, c.kind, c.reason) {
				t.Errorf("build answers %v, want %v/%s", err, c.kind, c.reason)
			}
		})
	}
	if _, err := archive.Build(t.Context(), io.Discard, filepath.Join(pipe, "none"), small, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("build of nothing answers %v", err)
	}
}

func random(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}
