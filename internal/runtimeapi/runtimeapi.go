// Package runtimeapi is the contract with user code: an [Adapter] starts a
// language's support inside a sandbox and a [Session] speaks to it. Package
// shim serves Node.js and Python over our framed protocol, package lambda serves
// custom runtimes over the Lambda Runtime API.
package runtimeapi

import (
	"context"
	"errors"
	"time"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/sandbox"
)

// Adapter is one way of speaking to user code. It is safe for concurrent use.
type Adapter interface {
	// Mounts lists what the adapter needs inside the sandbox beside the
	// function's code: its shim, the interpreter's prefix.
	Mounts(in language.Interpreter) []sandbox.Mount
	// Launch starts user code in sb and returns without waiting for its init
	// phase. An error means that nothing runs; sb stays the caller's.
	Launch(ctx context.Context, sb sandbox.Sandbox, l Launch) (Session, error)
}

// Stemmer is an adapter that can start a runtime before it is known which
// version it will serve.
type Stemmer interface {
	// Binds reports whether v can be bound to a runtime that has started: false
	// if something of its settings, such as NODE_OPTIONS, must be there when the
	// interpreter starts.
	Binds(v *function.Version) bool
	// LaunchStem starts a runtime in sb and returns without waiting for it. An
	// error means that nothing runs; sb stays the caller's.
	LaunchStem(ctx context.Context, sb sandbox.Sandbox, environment string, in language.Interpreter) (Stem, error)
}

// Stem is a started runtime that serves no version yet.
type Stem interface {
	// Ready waits until the runtime has started and waits for its binding.
	Ready(ctx context.Context) error
	// Bind makes the runtime serve a version, whose code the sandbox has by now,
	// and returns without waiting for its init phase. The stem is the session's
	// from then on: neither Ready nor Close may be called any more. After an error
	// the stem can only be closed.
	Bind(ctx context.Context, l Launch) (Session, error)
	// Done is closed when the runtime has ended.
	Done() <-chan struct{}
	// Close frees what the stem holds; it does not end the sandbox.
	Close() error
}

// Launch is what an adapter must know to start a version.
type Launch struct {
	// Environment is the execution environment's id.
	Environment string
	Version     *function.Version
	Interpreter language.Interpreter
	// Env is the process's environment variables by name: see [Environ].
	Env map[string]string
	// Zygote asks for a runtime that is copied and serves nothing itself: see
	// [Forker].
	Zygote bool
	// Output receives what user code prints, line by line. It may be called from
	// several goroutines and must not block.
	Output func(Line)
}

// Line is one line (or, for structured output, one event) that user code wrote.
type Line struct {
	// RequestID is the invocation that wrote it; empty if the adapter can't
	// tell, as for raw output of a custom runtime and during init.
	RequestID string
	Time      time.Time
	// Stream is "stdout" or "stderr".
	Stream string
	// Text is without the final newline. The receiver may keep it.
	Text []byte
}

// Session is a conversation with started user code. Invoke may be called from as
// many goroutines at once as the version's concurrency allows.
type Session interface {
	// Ready waits for the end of the init phase. It returns nil, an [*InitError]
	// if user code reported that its init failed, an [*ExitError] if it ended, or
	// the context's cause.
	Ready(ctx context.Context) error
	// Invoke hands inv to user code and waits for its answer. All output that
	// user code wrote before it answered has been handed to Output when Invoke
	// returns. An [*ExitError] means that user code ended without an answer. When
	// ctx ends, Invoke returns its cause and the session can only be closed.
	Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)
	// Started is how long the runtime took to start, until it took the version's
	// settings; zero if it was a stem or can't tell. It may be called after Ready
	// has returned.
	Started() time.Duration
	// Done is closed when user code has ended.
	Done() <-chan struct{}
	// Close ends the conversation and frees what the session holds, its
	// goroutines included. It does not end the sandbox. It may be called twice.
	Close() error
}

// Pipeliner is a session that takes invocations before their turn, so that the
// next one is there when user code has answered the last.
type Pipeliner interface {
	// Ahead is how many invocations may wait in the session beside those that run;
	// 0: none.
	Ahead() int
	// InvokeInLine is Invoke for as many callers more. The session calls begun, at
	// most once and never after it has returned, when user code may begin the
	// invocation: at once, or when those before it have been answered. begun must
	// not block. When the conversation ends before that, whatever ended it,
	// InvokeInLine returns [ErrNotBegun] and user code has not seen the invocation
	// and never will; a call that had begun gets what Invoke returns. A ctx that ends
	// before its call has begun ends the session, as it does after.
	InvokeInLine(ctx context.Context, inv *invocation.Invocation, begun func()) (*invocation.Result, error)
}

// ErrNotBegun says that user code has not seen an invocation: another
// environment can run it.
var ErrNotBegun = errors.New("the invocation had not begun when its environment ended")

// InitError is a failure of user code's init phase, as it reported it.
type InitError struct {
	// Type is user code's word, such as "Runtime.ImportModuleError".
	Type string
	// Payload is the JSON that a caller gets.
	Payload []byte
}

func (e *InitError) Error() string { return "init failed: " + e.Type }

// ExitError says that user code's process ended.
type ExitError struct {
	Exit sandbox.Exit
}

func (e *ExitError) Error() string { return "runtime exited: " + e.Exit.String() }
