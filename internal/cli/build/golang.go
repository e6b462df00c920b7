package build

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"mayfly.dev/mayfly/internal/fault"
)

var packageMain = regexp.MustCompile(`(?m)^package\s+main\b`)

// findGo recognises a folder that holds a main package, or one file of it.
func findGo(tree fs.FS, only, _ string) (*finding, error) {
	names := []string{only}
	if only == "" {
		var err error
		if names, err = fs.Glob(tree, "*.go"); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := readSource(tree, name)
		if err != nil {
			return nil, err
		}
		if packageMain.Match(text) {
			return &finding{kind: Go, entry: name, handler: "bootstrap", why: name + " is of package main"}, nil
		}
	}
	if only == "" && isFile(tree, "go.mod") {
		return &finding{kind: Go, missing: "go.mod is there, but no main package beside it: deploy the folder that holds it, for example ./cmd/NAME"}, nil
	}
	return nil, nil
}

// golang compiles a static program named bootstrap. What is unchanged is in
// Go's own build cache, so it is always run.
func (b *Builder) golang(ctx context.Context, src *Source) (*Package, error) {
	work, err := os.MkdirTemp("", "mayfly-go-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	out, target := filepath.Join(work, "bootstrap"), "."
	if src.Only != "" {
		target = src.Only
	}
	arch := map[string]string{"x86_64": "amd64", "arm64": "arm64"}[src.Architecture]
	if arch == "" {
		return nil, fault.New(fault.Invalid, "Architecture", "the architecture %q is not known: use x86_64 or arm64", src.Architecture)
	}
	b.step("go build")
	err = run(ctx, command{
		name: "go", dir: src.Root, install: "install Go from https://go.dev/dl",
		args: []string{"build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", out, target},
		env:  []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch},
	})
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(out); errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Invalid, "BuildFailed", "go build made no program of %s: is it a main package?", src.Root)
	}
	return b.pack([]entry{{name: "bootstrap", path: out, executable: true}})
}
