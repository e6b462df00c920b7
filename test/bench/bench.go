package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"mayfly.dev/mayfly/internal/language"
)

//go:embed testdata/index.js testdata/app.py testdata/server.js testdata/hello.js testdata/hello.py testdata/heavy.py testdata/loop.js testdata/loop.py testdata/static.c
var programs embed.FS

// bench is one run and what its sections share.
type bench struct {
	quick  bool
	binary string // mayfly
	dir    string // for everything that a run writes
	// goHello is the custom runtime of testdata/hello, static a program in C that
	// does nothing but write a line.
	goHello, static string
	node, python    language.Interpreter

	running *node // nil until a section needs it
	goals   []Goal
}

// newBench builds and finds all that is measured. The caller closes it.
func newBench(ctx context.Context, binary string, quick bool) (b *bench, err error) {
	b = &bench{quick: quick}
	if b.binary, err = filepath.Abs(binary); err != nil {
		return nil, err
	}
	if _, err := os.Stat(b.binary); err != nil {
		return nil, fmt.Errorf("there is no %s: run make build", binary)
	}
	if b.dir, err = os.MkdirTemp("", "mayfly-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	// Sandboxes have uids of their own, which must reach the programs in it.
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // see above
		return nil, err
	}
	return b, errors.Join(b.findInterpreters(ctx), b.build(ctx))
}

func (b *bench) findInterpreters(ctx context.Context) error {
	found, err := language.Scan(ctx)
	if err != nil {
		return err
	}
	for runtime, in := range map[string]*language.Interpreter{nodeRuntime: &b.node, pythonRuntime: &b.python} {
		r, err := language.Resolve(runtime, found)
		if err != nil {
			return err
		}
		*in = r.Interpreter
	}
	return nil
}

func (b *bench) build(ctx context.Context) error {
	b.goHello, b.static = filepath.Join(b.dir, "hello-go"), filepath.Join(b.dir, "static")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", b.goHello, ".")
	build.Dir = filepath.Join("test", "bench", "testdata", "hello")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	source, err := b.write("testdata/static.c")
	if err != nil {
		return err
	}
	for _, cmd := range []*exec.Cmd{build, exec.CommandContext(ctx, "gcc", "-O2", "-static", "-o", b.static, source)} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
	}
	return nil
}

// write lays an embedded program down in the run's directory.
func (b *bench) write(name string) (path string, err error) {
	content, err := programs.ReadFile(name)
	if err != nil {
		return "", err
	}
	path = filepath.Join(b.dir, filepath.Base(name))
	return path, os.WriteFile(path, content, 0o644) //nolint:gosec // runtimes with other uids read it
}

// needNode starts the node that several sections use.
func (b *bench) needNode(ctx context.Context) (err error) {
	if b.running == nil {
		b.running, err = startNode(ctx, b.binary, filepath.Join(b.dir, "data"))
	}
	return err
}

func (b *bench) close() error {
	var err error
	if b.running != nil {
		err = b.running.stop()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// rounds is how often something is done: less in a quick run.
func (b *bench) rounds(n int) int {
	if b.quick {
		return max(3, n/4)
	}
	return n
}
