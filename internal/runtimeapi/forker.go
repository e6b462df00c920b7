package runtimeapi

import (
	"context"

	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/sandbox"
)

// Forker is an adapter whose runtimes can be copied after their init phase. What
// is copied is a zygote: a session that was launched as such ([Launch.Zygote]),
// is [Session.Ready], and gets no invocation.
type Forker interface {
	// Forks reports whether runtimes of an interpreter can be zygotes.
	Forks(in language.Interpreter) bool
	// Fork copies zygote, which runs in from, into a new sandbox that spec
	// describes, and returns without waiting for the copy. Its init phase is over
	// in no time. An error leaves nothing behind; sandbox and session are the
	// caller's, and end with the zygote at the latest.
	Fork(ctx context.Context, zygote Session, from sandbox.Forker, spec sandbox.Spec, l Launch) (sandbox.Sandbox, Session, error)
}
