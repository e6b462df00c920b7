package shim

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func module(name, data string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(name)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return string(b) + name + data
}

func TestModulesAreStoredBelowTheDirectory(t *testing.T) {
	dir := t.TempDir()
	stream := module("/var/task/app.pyc", "one") + module("/opt/python/deep/in/it.pyc", "")
	if err := storeModules(strings.NewReader(stream), dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"var/task/app.pyc": "one", "opt/python/deep/in/it.pyc": ""} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestWhatIsNoModuleIsRefused(t *testing.T) {
	tests := map[string]struct {
		stream string
		want   error
	}{
		"relative name":      {module("var/task/app.pyc", ""), errModules},
		"name that leads up": {module("/var/../../app.pyc", ""), errModules},
		"empty name":         {module("", ""), errModules},
		"other file":         {module("/var/task/app.py", ""), errModules},
		"long name":          {module("/"+strings.Repeat("x", maxNameBytes)+".pyc", ""), errModules},
		"huge file":          {string([]byte{0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff}) + "/a.pyc", errModules},
		"twice":              {module("/a.pyc", "") + module("/a.pyc", ""), os.ErrExist},
		"end in a header":    {module("/a.pyc", "")[:5], io.ErrUnexpectedEOF},
		"end in a name":      {module("/a.pyc", "")[:10], io.ErrUnexpectedEOF},
		"end in a file":      {module("/a.pyc", "xyz")[:16], io.ErrUnexpectedEOF},
	}
	for name, tt := range tests {
		if err := storeModules(strings.NewReader(tt.stream), t.TempDir()); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
