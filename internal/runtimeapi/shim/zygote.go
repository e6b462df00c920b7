package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
)

var _ runtimeapi.Forker = (*Adapter)(nil)

// zygoteTimeout bounds a wait for the turn to write a frame.
const zygoteTimeout = time.Second

// Forks implements [runtimeapi.Forker].
func (a *Adapter) Forks(in language.Interpreter) bool { return in.Family == language.Python }

// Fork implements [runtimeapi.Forker].
func (a *Adapter) Fork(ctx context.Context, zygote runtimeapi.Session, from sandbox.Forker, spec sandbox.Spec,
	settings func(sandbox.Sandbox) (runtimeapi.Launch, error),
) (runtimeapi.Session, error) {
	z, ok := zygote.(*session)
	if !ok {
		return nil, fmt.Errorf("a %T is no zygote of this adapter", zygote)
	}
	s, sb, err := a.copyOf(ctx, z, from, spec)
	if err != nil {
		return nil, fmt.Errorf("copy a runtime: %w", err)
	}
	l, err := settings(sb)
	var meta []byte
	if err == nil {
		s.bind(l)
		meta, err = initMeta(l, whereabouts{})
	}
	s.start()
	if err == nil && s.write(ctx, frameInit, meta) != nil {
		err = context.Cause(ctx) // nil: the copy has ended already, and Ready says how
	}
	if err != nil {
		s.kill()
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// copyOf has a zygote copy itself and returns the copy's session, whose
// goroutines do not run yet, and its sandbox.
func (a *Adapter) copyOf(ctx context.Context, z *session, from sandbox.Forker, spec sandbox.Spec) (_ *session, sb sandbox.Sandbox, err error) {
	s, socket, err := a.prepare(spec.ID)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, socket.Close()) }() // the copy has it by then
	number := z.copies.Add(1)
	sb, s.process, err = from.Fork(ctx, spec, sandbox.Forking{
		Ask:  func() error { return z.askToFork(ctx, number, socket, s.out.Stdout(), s.out.Stderr()) },
		Reap: func() { z.askToReap(context.WithoutCancel(ctx), number) },
	})
	if err != nil {
		return nil, nil, errors.Join(err, s.out.Close(), s.link.close())
	}
	return s, sb, nil
}

// askToFork sends the frame that makes a zygote fork, with the descriptors that
// its copy has in the place of the zygote's own.
func (s *session) askToFork(ctx context.Context, number uint32, files ...*os.File) error {
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	return s.tell(ctx, frameFork, number, fds...)
}

// askToReap has a zygote wait for a copy that has ended. One that has ended
// itself needs not.
func (s *session) askToReap(ctx context.Context, number uint32) {
	if err := s.tell(ctx, frameReap, number); err != nil {
		s.log.DebugContext(ctx, "a zygote was not told that its copy has ended", "err", err)
	}
}

// tell sends a zygote a frame about one of its copies. The socket always has room
// for it, since a zygote does nothing but read.
func (s *session) tell(ctx context.Context, kind uint8, number uint32, descriptors ...int) error {
	ctx, cancel := context.WithTimeout(ctx, zygoteTimeout)
	defer cancel()
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	frame := make([]byte, headerBytes)
	putHeader(frame, kind, 0, number, 0, 0)
	return s.link.writeWith(frame, descriptors...)
}
