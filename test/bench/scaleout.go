package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/api/native/wire"
)

const (
	importTime = 300 * time.Millisecond
	// settle is how long the node has after the first environment's first call to
	// get ready for a second one.
	settle = 500 * time.Millisecond
	// holdSeconds is how long the first environment is kept busy meanwhile.
	holdSeconds = "0.8"
)

// scaleOut compares the second environment of a Python function that imports for
// long with the first: both are the first call of an environment over HTTP, the
// second one while the first environment is busy.
func (b *bench) scaleOut(ctx context.Context) (*Table, error) {
	k, alone, err := b.importer(ctx)
	if err != nil {
		return nil, err
	}
	f, err := b.running.fresh(ctx, "scale-out", k)
	if err != nil {
		return nil, err
	}
	var second []phases
	following := func(ctx context.Context) (time.Duration, error) {
		if err := pause(ctx, settle); err != nil {
			return 0, err
		}
		held := make(chan error, 1)
		go func() {
			_, _, err := once(ctx, f.at, "/?"+holdSeconds)
			held <- err
		}()
		if err := b.running.busy(ctx, f.name); err != nil {
			return 0, errors.Join(err, <-held)
		}
		took, timing, err := once(ctx, f.at, "/")
		second = append(second, parsePhases(timing))
		if err := <-held; err != nil {
			return 0, err
		}
		return took, err
	}
	times, err := interleave(ctx, b.rounds(8), f.call, following)
	if err != nil {
		return nil, err
	}
	t := &Table{
		Title: fmt.Sprintf("Scale-out of a Python function whose imports take %d ms", alone.Milliseconds()),
		Columns: append([]Column{
			{"call", "ms"}, {"ratio", "×"},
		}, phaseColumns()...),
	}
	for i, calls := range [][]phases{f.phases, second} {
		values := map[string]float64{"call": milliseconds(median(times[i])), "ratio": float64(median(times[i])) / float64(median(times[0]))}
		phaseValues(values, calls[1:], 0.5)
		t.row([]string{"first environment", "second environment"}[i], values)
	}
	b.atMost("scale-out", "scale-out of a Python function that imports for 300 ms: second environment to the first", "×",
		float64(median(times[1]))/float64(median(times[0])), 0.1)
	return t, nil
}

// busy waits until an environment of a function runs a call.
func (n *node) busy(ctx context.Context, name string) error {
	for {
		list, err := n.Environments(ctx, name)
		if err != nil {
			return err
		}
		for _, e := range list {
			if e.State == "busy" {
				return nil
			}
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// importer packs a function with a module of generated code that takes a bare
// interpreter as long as it should to import, with its byte code at hand. It
// returns what it takes.
func (b *bench) importer(ctx context.Context) (k kind, took time.Duration, err error) {
	statements := 100
	var code []byte
	for range 3 { // the time is not quite proportional
		code = imports(statements)
		if took, err = b.importing(ctx, code); err != nil {
			return k, 0, err
		}
		if took > importTime*9/10 && took < importTime*11/10 {
			break
		}
		statements = max(1, int(float64(statements)*float64(importTime)/float64(took)))
	}
	zip, err := b.packImporter(code)
	settings := wire.Settings{Runtime: pythonRuntime, Handler: "app.handler", MemoryMB: memoryMB}
	return kind{"Python " + b.python.Version, settings, zip}, took, err
}

// packImporter packs the handler with the module that it imports.
func (b *bench) packImporter(code []byte) ([]byte, error) {
	handler, err := programs.ReadFile("testdata/heavy.py")
	if err != nil {
		return nil, err
	}
	return pack(map[string][]byte{"app.py": handler, "imports.py": code}, "")
}

// imports is what libraries do when they are imported: they make types and compile
// regular expressions.
func imports(statements int) []byte {
	var code bytes.Buffer
	code.WriteString("import collections\nimport re\n\nHELLO = \"hello\"\n")
	for i := range statements {
		fmt.Fprintf(&code, "T%d = collections.namedtuple(\"T%d\", \"name value unit%d\")\n", i, i, i)
		fmt.Fprintf(&code, "R%d = re.compile(r\"^(?P<key>[a-z_]+%d)\\s*=\\s*(?:(?P<number>[0-9]+)|'(?P<text>[^']*)')$\")\n", i, i)
	}
	return code.Bytes()
}

// importing is the time that a bare interpreter takes for code on a quiet machine.
func (b *bench) importing(ctx context.Context, code []byte) (time.Duration, error) {
	dir := filepath.Join(b.dir, "imports")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(dir, "imports.py"), code, 0o600); err != nil {
		return 0, err
	}
	const program = "import time; t = time.perf_counter(); import imports; print(time.perf_counter() - t)"
	var times []time.Duration
	for range 4 {
		cmd := exec.CommandContext(ctx, b.python.Path, "-c", program)
		cmd.Dir, cmd.Env = dir, environment
		out, err := cmd.Output()
		if err != nil {
			return 0, fmt.Errorf("import generated code: %w", err)
		}
		seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return 0, err
		}
		times = append(times, time.Duration(seconds*float64(time.Second)))
	}
	return slices.Min(times[1:]), nil // the first one made the byte code
}
