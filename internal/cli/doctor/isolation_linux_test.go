package doctor

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDelegatedGroups(t *testing.T) {
	root := t.TempDir()
	own := filepath.Join(root, "user.slice", "mine")
	if err := os.MkdirAll(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "cgroup.controllers"), []byte("memory pids\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		groups string
		want   bool
	}{
		"version 2":             {"0::/user.slice/mine\n", true},
		"version 2, not there":  {"0::/user.slice/other\n", false},
		"version 1":             {"4:memory:/\n3:cpu:/\n", false},
		"version 1 with hybrid": {"4:memory:/\n0::/\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			self := filepath.Join(t.TempDir(), "cgroup")
			if err := os.WriteFile(self, []byte(tt.groups), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := delegated(root, self); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}
