package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDerivedFilesAreCurrent(t *testing.T) {
	source, page, err := render("../config.go")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{"../docs.go": source, "../../../docs/configuration.md": page} {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not current, run go generate (-want +got):\n%s", path, diff)
		}
	}
}
