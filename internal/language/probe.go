package language

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// probeTimeout bounds one question to one interpreter.
	probeTimeout = 10 * time.Second
	// maxProbeBytes bounds its answer.
	maxProbeBytes = 16 << 10
)

// The questions: each prints version, path and home on a line of their own. What
// runs may be a version manager's shim or a virtual environment; the answer
// names the interpreter behind it.
const (
	askNode = `const {dirname}=require('path'),{execPath,versions}=process;` +
		`console.log([versions.node,execPath,dirname(dirname(execPath))].join('\n'))`
	askPython = `import sys;print("%d.%d.%d" % sys.version_info[:3],` +
		`getattr(sys,"_base_executable",None) or sys.executable,sys.base_prefix,sep="\n")`
)

var (
	// errTooOld says that an interpreter works but no shim works on it.
	errTooOld = errors.New("the interpreter is too old")
	// errNoAnswer says that a program is no interpreter, whatever its name.
	errNoAnswer = errors.New("the program did not answer like an interpreter")
)

// final reports whether a program would answer the same another time: it was
// not the machine that was slow or short of something.
func final(err error) bool {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.Exited()
	}
	return errors.Is(err, errTooOld) || errors.Is(err, errNoAnswer)
}

// probe asks the program at file what it is.
func probe(ctx context.Context, file string) (Interpreter, error) {
	family, args := Python, []string{"-I", "-S", "-c", askPython}
	if strings.HasPrefix(filepath.Base(file), "node") {
		family, args = Node, []string{"-e", askNode}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, args...)
	cmd.Dir = "/"
	cmd.Env = probeEnv()
	// A shim that leaves a child behind must not keep us waiting.
	cmd.WaitDelay = time.Second
	var out limited
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Interpreter{}, fmt.Errorf("ask %s for its version: %w", file, err)
	}
	return interpret(family, out.b.String())
}

// probeEnv is the environment without what changes an interpreter's behaviour.
func probeEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NODE_") && !strings.HasPrefix(v, "PYTHON") {
			env = append(env, v)
		}
	}
	return env
}

// interpret reads an interpreter's answer.
func interpret(family Family, answer string) (Interpreter, error) {
	lines := strings.Split(strings.TrimSpace(answer), "\n")
	if len(lines) != 3 || !filepath.IsAbs(lines[1]) || !filepath.IsAbs(lines[2]) {
		return Interpreter{}, fmt.Errorf("%w: it printed %d lines", errNoAnswer, len(lines))
	}
	in := Interpreter{Family: family, Version: lines[0]}
	if in.release().compare(oldest[family]) < 0 {
		return Interpreter{}, fmt.Errorf("%w: %s %s", errTooOld, family.program(), in.Version)
	}
	path, err := filepath.EvalSymlinks(lines[1])
	if err != nil {
		return Interpreter{}, fmt.Errorf("find the interpreter that it names: %w", err)
	}
	home, err := filepath.EvalSymlinks(lines[2])
	if err != nil {
		return Interpreter{}, fmt.Errorf("find the directory that it names: %w", err)
	}
	in.Path, in.Prefix = path, prefix(path, home)
	if in.Prefix != "" && !strings.HasPrefix(path, in.Prefix+"/") {
		return Interpreter{}, fmt.Errorf("%s is not below its own prefix %s", path, in.Prefix)
	}
	return in, nil
}

// limited keeps the first maxProbeBytes written to it.
type limited struct{ b bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxProbeBytes - l.b.Len(); room > 0 {
		l.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
