package cli_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/cli"
)

func TestReferenceIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cli.Reference(), string(page)); diff != "" {
		t.Errorf("the page is out of date: run go generate ./internal/cli (-want +got):\n%s", diff)
	}
}
