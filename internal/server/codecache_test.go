package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
)

func TestCodeCachesOfUnusedCodeAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"used-3.11.2", "used-3.12.1", "used-3.11.2.new-17", "gone-3.11.2"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "inside"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := &codeCaches{dir: dir, used: func() map[string]bool { return map[string]bool{"used": true} }, log: slog.New(slog.DiscardHandler)}
	c.sweep(t.Context())
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if diff := cmp.Diff([]string{"used-3.11.2", "used-3.12.1"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestACodeCacheIsMountedOnceItIsThere(t *testing.T) {
	c := &codeCaches{dir: t.TempDir()}
	v := &function.Version{Code: function.Code{SHA256: "digest"}}
	python := language.Interpreter{Family: language.Python, Version: "3.11.2"}
	if m := c.mounts(v, python); m != nil {
		t.Errorf("mounts %v before anything was made", m)
	}
	if err := os.Mkdir(c.path("digest", python), 0o755); err != nil {
		t.Fatal(err)
	}
	if m := c.mounts(v, python); len(m) != 1 {
		t.Errorf("mounts %v, want the cache", m)
	}
	if m := c.mounts(v, language.Interpreter{Family: language.Python, Version: "3.12.1"}); m != nil {
		t.Errorf("another version of the interpreter gets %v", m)
	}
}

func TestWantedCachesAreMadeOnceForACodePackage(t *testing.T) {
	c := &codeCaches{wake: make(chan struct{}, 1), pending: map[string]*function.Version{}}
	for _, name := range []string{"a", "b"} {
		c.want(&function.Version{Function: name, Code: function.Code{SHA256: "same"}})
	}
	if v := c.next(); v == nil || v.Function != "b" {
		t.Errorf("next is %+v, want the latest", v)
	}
	if v := c.next(); v != nil {
		t.Errorf("then %+v, want nothing", v)
	}
}
