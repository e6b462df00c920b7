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
	// describes. It hands that to settings, which it calls once, and returns
	// without waiting for the copy, whose init phase is over in no time. An error
	// means that nothing runs, or that the sandbox has to be destroyed if settings
	// was called; it is the caller's from then on. All ends with the zygote at the
	// latest.
	Fork(ctx context.Context, zygote Session, from sandbox.Forker, spec sandbox.Spec,
		settings func(sandbox.Sandbox) (Launch, error),
	) (Session, error)
}
