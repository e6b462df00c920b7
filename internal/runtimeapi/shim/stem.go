package shim

import (
	"context"
	"errors"
	"fmt"

	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
)

// stem is a started shim that has got no init frame yet.
type stem struct {
	s  *session
	in language.Interpreter
	at whereabouts
}

var (
	_ runtimeapi.Stemmer = (*Adapter)(nil)
	_ runtimeapi.Stem    = (*stem)(nil)
)

// LaunchStem implements [runtimeapi.Stemmer]. Until Bind, the shim opens nothing
// of a function's: its working directory is the root.
func (a *Adapter) LaunchStem(ctx context.Context, sb sandbox.Sandbox, environment string, in language.Interpreter) (runtimeapi.Stem, error) {
	at := newWhereabouts(sb)
	cmd, err := command(in, at, startEnv(in, nil))
	if err != nil {
		return nil, err
	}
	cmd.Dir = "/"
	s, err := a.run(ctx, sb, environment, cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", in.Path, err)
	}
	s.start()
	return &stem{s: s, in: in, at: at}, nil
}

// Ready implements [runtimeapi.Stem].
func (st *stem) Ready(ctx context.Context) error {
	select {
	case <-st.s.started:
	case <-st.s.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-st.s.done: // whether it had started or not
		return st.s.ended()
	default:
		return nil
	}
}

// errBindsNot says that [runtimeapi.Stemmer] was not asked before.
var errBindsNot = errors.New("the version has environment variables that an interpreter reads only when it starts")

// Bind implements [runtimeapi.Stem].
func (st *stem) Bind(ctx context.Context, l runtimeapi.Launch) (runtimeapi.Session, error) {
	if l.Interpreter != st.in {
		return nil, fmt.Errorf("the stem runs %s, the version needs %s", st.in.Path, l.Interpreter.Path)
	}
	if !binds(st.in, l.Env) {
		return nil, errBindsNot
	}
	meta, err := initMeta(l, st.at)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	st.s.bind(l)
	if st.s.write(ctx, frameInit, meta) == nil {
		return st.s, nil
	}
	select {
	case <-st.s.done: // nobody reads any more
		return nil, st.s.ended()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Done implements [runtimeapi.Stem].
func (st *stem) Done() <-chan struct{} { return st.s.Done() }

// Close implements [runtimeapi.Stem].
func (st *stem) Close() error { return st.s.Close() }
