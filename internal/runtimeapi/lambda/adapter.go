// Package lambda speaks to custom runtimes (provided.al2, provided.al2023) over
// the AWS Lambda Runtime API: an HTTP server that listens inside the sandbox's
// own network, so that nobody but the function can reach it.
//
// The connection loop is ours, because net/http's server refuses trailers of more
// than 4 KiB (an error reported in mid-stream with its stack trace is longer) and
// needs two goroutine switches more for an invocation: here the caller's goroutine
// writes the answer of a waiting /next. The two requests that make up nearly all of
// the traffic are read by hand (lean.go), all others by net/http's parser.
//
// What the runtime sends is foreign input: connections, headers, bodies and
// lines are bounded. All types are safe for concurrent use; a session runs as many
// invocations at a time as the version's settings say. Its mu is held for moves of
// its state alone, never for I/O; package output's locks are never taken with it.
// Which of several invocations wrote a line nobody can tell: such lines name none.
package lambda

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/output"
	"mayfly.dev/mayfly/internal/sandbox"
)

const (
	// address is where the Runtime API listens inside a sandbox.
	address  = "127.0.0.1:9001"
	taskRoot = "/var/task"
	// maxConcurrency is the variable whose presence makes a runtime ask for so many
	// invocations at once.
	maxConcurrency = "AWS_LAMBDA_MAX_CONCURRENCY"
)

// bootstraps are the places of a custom runtime's program, in Lambda's order.
var bootstraps = []string{"/var/task/bootstrap", "/opt/bootstrap"}

var _ runtimeapi.Adapter = (*Adapter)(nil)

// Config configures an [Adapter].
type Config struct {
	// Log receives what goes wrong with a runtime's connections, at debug
	// level; nil discards.
	Log *slog.Logger
}

// Adapter starts custom runtimes.
type Adapter struct {
	log *slog.Logger
	// readers are the connections' buffers, kept for those to come: a runtime
	// that calls curl makes three connections an invocation.
	readers sync.Pool
}

// New returns an adapter for custom runtimes.
func New(cfg Config) *Adapter {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Adapter{log: log, readers: sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferBytes) }}}
}

// Mounts returns nothing: a custom runtime brings all that it needs.
func (a *Adapter) Mounts(language.Interpreter) []sandbox.Mount { return nil }

// Launch starts the version's bootstrap program in sb. A package without one
// that can be run gives a session whose Ready returns the [runtimeapi.InitError]
// Runtime.InvalidEntrypoint: the function is at fault, not the platform.
func (a *Adapter) Launch(ctx context.Context, sb sandbox.Sandbox, l runtimeapi.Launch) (runtimeapi.Session, error) {
	ln, err := sb.Listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("listen for the runtime: %w", err)
	}
	out, err := output.New(output.Config{Emit: l.Output})
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	proc, err := start(ctx, sb, environ(sb, l, ln.Addr().String()), out)
	if ie, ok := errors.AsType[*runtimeapi.InitError](err); ok {
		return stillborn(ie), errors.Join(out.Close(), ln.Close())
	}
	if err != nil {
		return nil, errors.Join(err, out.Close(), ln.Close())
	}
	return newSession(a.log.With("environment", l.Environment), &a.readers, slots(l.Version), ln, proc, out), nil
}

// start runs the first bootstrap that there is.
func start(ctx context.Context, sb sandbox.Sandbox, env []string, out *output.Output) (sandbox.Process, error) {
	for _, path := range bootstraps {
		proc, err := sb.Start(ctx, sandbox.Command{
			Path: path, Args: []string{path}, Env: env, Dir: taskRoot, Stdout: out.Stdout(), Stderr: out.Stderr(),
		})
		switch {
		case err == nil:
			return proc, nil
		case fault.Is(err, fault.Invalid, "ProgramNotFound"):
			continue
		case fault.Is(err, fault.Invalid, "ProgramNotExecutable"):
			return nil, invalidEntrypoint(path + " is not executable: set its executable bit (chmod 755 bootstrap) before zipping")
		case fault.Is(err, fault.Invalid, "ProgramFormat"):
			return nil, invalidEntrypoint(path + " can't be executed: build it for Linux and this machine's architecture, or begin a script with #!")
		default:
			return nil, fmt.Errorf("start %s: %w", path, err)
		}
	}
	return nil, invalidEntrypoint("no bootstrap could be started: put an executable file named bootstrap at the top of the package; " +
		"if its first line names an interpreter, that must exist in the sandbox")
}

func invalidEntrypoint(message string) *runtimeapi.InitError {
	const errorType = "Runtime.InvalidEntrypoint"
	return &runtimeapi.InitError{Type: errorType, Payload: invocation.Failed(errorType, message).Payload}
}

// slots is how many invocations an environment of v runs at once.
func slots(v *function.Version) int {
	if v == nil {
		return 1
	}
	return v.Slots()
}

// environ returns the process's environment in a stable order.
func environ(sb sandbox.Sandbox, l runtimeapi.Launch, api string) []string {
	all := maps.Clone(l.Env)
	if all == nil {
		all = make(map[string]string, 2)
	}
	all["AWS_LAMBDA_RUNTIME_API"] = api
	delete(all, maxConcurrency)
	if n := slots(l.Version); n > 1 {
		all[maxConcurrency] = strconv.Itoa(n)
	}
	if m, ok := sb.(sandbox.PathMapper); ok {
		mapPaths(all, m)
	}
	env := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}
	return env
}

// mapPaths puts the function's own directories to where they are in a sandbox
// that can't mount.
func mapPaths(vars map[string]string, m sandbox.PathMapper) {
	for _, name := range []string{"LAMBDA_TASK_ROOT", "PATH", "LD_LIBRARY_PATH"} {
		if vars[name] == "" {
			continue
		}
		list := strings.Split(vars[name], ":")
		for i, path := range list {
			if strings.HasPrefix(path, taskRoot) || strings.HasPrefix(path, "/opt") {
				list[i] = m.HostPath(path)
			}
		}
		vars[name] = strings.Join(list, ":")
	}
}
