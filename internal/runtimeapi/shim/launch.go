package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/output"
	"mayfly.dev/mayfly/internal/sandbox"
)

// initMeta is the meta of an init frame. It carries all that binds a started
// runtime to a version, so that the runtime may be older than the binding.
type initMeta struct {
	Handler  string            `json:"handler"`
	TaskRoot string            `json:"taskRoot"`
	OptRoot  string            `json:"optRoot"`
	Env      map[string]string `json:"env"`
}

// Launch implements [runtimeapi.Adapter].
func (a *Adapter) Launch(ctx context.Context, sb sandbox.Sandbox, l runtimeapi.Launch) (runtimeapi.Session, error) {
	args, err := command(l.Interpreter)
	if err != nil {
		return nil, err
	}
	w := newWhereabouts(sb)
	env := w.env(l.Env)
	meta, err := json.Marshal(initMeta{
		Handler: l.Version.Handler, TaskRoot: w.path(taskDir), OptRoot: w.path(optDir), Env: env,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the init frame: %w", err)
	}
	if len(meta) > maxMetaBytes {
		return nil, fmt.Errorf("the environment variables take %d bytes, more than %d", len(meta), maxMetaBytes)
	}
	args[len(args)-1] = w.path(args[len(args)-1])
	s, err := a.run(ctx, sb, l, sandbox.Command{Path: args[0], Args: args, Env: environ(env), Dir: taskDir})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", l.Interpreter.Path, err)
	}
	s.start()
	if err := s.write(ctx, frameInit, 0, meta, nil); err != nil && ctx.Err() != nil {
		s.kill()
		return nil, errors.Join(context.Cause(ctx), s.Close())
	} // otherwise the runtime has ended already, and Ready says how
	return s, nil
}

// run starts the process and returns its session, whose goroutines do not run
// yet.
func (a *Adapter) run(ctx context.Context, sb sandbox.Sandbox, l runtimeapi.Launch, cmd sandbox.Command) (_ *session, err error) {
	s := &session{
		log: a.log.With("environment", l.Environment), emit: l.Output,
		ready: make(chan struct{}), done: make(chan struct{}), closing: make(chan struct{}),
		pending: make(map[uint32]*call),
	}
	conn, socket, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, socket.Close()) }() // the runtime has it by then
	out, err := output.New(output.Config{Emit: l.Output, Request: s.current})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s.conn, s.out = conn, out
	cmd.Stdout, cmd.Stderr, cmd.Files = out.Stdout(), out.Stderr(), []*os.File{socket}
	if s.process, err = sb.Start(ctx, cmd); err != nil {
		return nil, errors.Join(err, out.Close(), conn.Close())
	}
	return s, nil
}

// current returns the invocation that raw output belongs to.
func (s *session) current() string {
	if r := s.request.Load(); r != nil {
		return *r
	}
	return ""
}

// socketPair returns our end of a stream socket and the runtime's, which is
// blocking and closed on exec except where a process is given it.
func socketPair() (*net.UnixConn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "shim"), os.NewFile(uintptr(fds[1]), "shim")
	defer ours.Close() //nolint:errcheck // FileConn has made its own copy
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("socketpair is a %T", conn), conn.Close(), theirs.Close())
	}
	return unix, theirs, nil
}

// environ returns variables in the form of a process's environment, sorted.
func environ(vars map[string]string) []string {
	list := make([]string, 0, len(vars))
	for name, value := range vars {
		list = append(list, name+"="+value)
	}
	slices.SortFunc(list, strings.Compare)
	return list
}
