// Package shim speaks to Node.js and Python through language support of our
// own. A shim is a script (node/, python/) that the interpreter runs inside the
// sandbox; it loads the handler and exchanges length-prefixed frames with a
// [runtimeapi.Session] over an inherited Unix socket. docs/runtime-contract.md
// specifies the protocol. Which interpreter runs a function, and the sandbox,
// are for others to choose.
//
// Everything that comes from the other end is foreign: frames are bounded, and
// a runtime that sends anything else is killed. An [Adapter] is safe for
// concurrent use. A session owns four goroutines, which end with Close, and its
// callers read answers for themselves when they can: see reading. Its locks are
// never held together.
package shim

import (
	"errors"
	"fmt"
	"log/slog"
	"path"

	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
)

// runtimeDir is where the shims are inside a sandbox.
const runtimeDir = "/var/runtime"

// Config is what an [Adapter] needs.
type Config struct {
	// Dir is a directory of the node's own in which the adapter keeps the shims'
	// files. It is made if it is missing.
	Dir string
	// Log receives what goes wrong with runtimes; nil discards.
	Log *slog.Logger
}

// Adapter starts the embedded shims.
type Adapter struct {
	dir string // holds the shims' files of this build
	log *slog.Logger

	short shortWaits
}

var _ runtimeapi.Adapter = (*Adapter)(nil)

// New writes the shims' files below c.Dir, if this build's are not there yet,
// and removes those of other builds. Nothing else may use c.Dir meanwhile.
func New(c Config) (*Adapter, error) {
	if c.Dir == "" {
		return nil, errors.New("shim: no directory for the shims' files was given")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := install(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("write the language shims to %s: %w", c.Dir, err)
	}
	return &Adapter{dir: dir, log: c.Log}, nil
}

// Mounts implements [runtimeapi.Adapter].
func (a *Adapter) Mounts(in language.Interpreter) []sandbox.Mount {
	mounts := []sandbox.Mount{{Source: a.dir, Target: runtimeDir}}
	if in.Prefix != "" {
		mounts = append(mounts, sandbox.Mount{Source: in.Prefix, Target: in.Prefix})
	}
	return mounts
}

// command returns what starts an interpreter with its shim.
func command(in language.Interpreter, at whereabouts, env map[string]string) (sandbox.Command, error) {
	var args []string
	switch in.Family {
	case language.Node:
		args = []string{in.Path, path.Join(runtimeDir, "node", "bootstrap.js")}
	case language.Python:
		// -S: the machine's .pth files are none of the function's business and
		// cost up to 35 ms; the shim appends the site directories itself.
		args = []string{in.Path, "-S", path.Join(runtimeDir, "python", "bootstrap.py")}
	default:
		return sandbox.Command{}, fmt.Errorf("no shim serves the language %q", in.Family)
	}
	args[len(args)-1] = at.path(args[len(args)-1])
	return sandbox.Command{Path: args[0], Args: args, Env: environ(at.paths(env)), Dir: taskDir}, nil
}
