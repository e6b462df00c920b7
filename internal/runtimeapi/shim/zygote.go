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
func (a *Adapter) Fork(ctx context.Context, zygote runtimeapi.Session, from sandbox.Forker, spec sandbox.Spec, l runtimeapi.Launch) (sandbox.Sandbox, runtimeapi.Session, error) {
	z, ok := zygote.(*session)
	if !ok {
		return nil, nil, fmt.Errorf("a %T is no zygote of this adapter", zygote)
	}
	l.Zygote = false
	meta, err := initMeta(l, whereabouts{})
	if err != nil {
		return nil, nil, err
	}
	sb, s, err := a.copyOf(ctx, z, from, spec, l)
	if err != nil {
		return nil, nil, fmt.Errorf("copy a runtime: %w", err)
	}
	s.start()
	if err := s.write(ctx, frameInit, meta); err != nil && ctx.Err() != nil {
		return nil, nil, errors.Join(context.Cause(ctx), sb.Destroy(context.WithoutCancel(ctx)), s.Close())
	} // otherwise the copy has ended already, and Ready says how
	return sb, s, nil
}

// copyOf has a zygote copy itself and returns the copy's session, whose
// goroutines do not run yet.
func (a *Adapter) copyOf(ctx context.Context, z *session, from sandbox.Forker, spec sandbox.Spec, l runtimeapi.Launch) (_ sandbox.Sandbox, _ *session, err error) {
	s, socket, err := a.prepare(l.Environment)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, socket.Close()) }() // the copy has it by then
	s.bind(l)
	number := z.copies.Add(1)
	sb, process, err := from.Fork(ctx, spec, sandbox.Forking{
		Ask:  func() error { return z.askToFork(ctx, number, socket, s.out.Stdout(), s.out.Stderr()) },
		Reap: func() { z.askToReap(context.WithoutCancel(ctx), number) },
	})
	if err != nil {
		return nil, nil, errors.Join(err, s.out.Close(), s.link.close())
	}
	s.process = process
	return sb, s, nil
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
