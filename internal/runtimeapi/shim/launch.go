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
	"time"

	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/output"
	"mayfly.dev/mayfly/internal/sandbox"
)

// initFrame is the meta of an init frame. It carries all that binds a started
// runtime to a version, so that the runtime may be older than the binding.
type initFrame struct {
	Handler  string            `json:"handler"`
	TaskRoot string            `json:"taskRoot"`
	OptRoot  string            `json:"optRoot"`
	Env      map[string]string `json:"env"`
	// TimeoutMillis is how long an invocation may take that waited in the
	// runtime for its turn: its deadline was reckoned too early.
	TimeoutMillis int64 `json:"timeout"`
}

func initMeta(l runtimeapi.Launch, at whereabouts) ([]byte, error) {
	meta, err := json.Marshal(initFrame{
		Handler: l.Version.Handler, TaskRoot: at.path(taskDir), OptRoot: at.path(optDir), Env: at.env(l.Env),
		TimeoutMillis: l.Version.Timeout.Milliseconds(),
	})
	if err != nil {
		return nil, fmt.Errorf("encode the init frame: %w", err)
	}
	if len(meta) > maxMetaBytes {
		return nil, fmt.Errorf("the environment variables take %d bytes, more than %d", len(meta), maxMetaBytes)
	}
	return meta, nil
}

// Launch implements [runtimeapi.Adapter].
func (a *Adapter) Launch(ctx context.Context, sb sandbox.Sandbox, l runtimeapi.Launch) (runtimeapi.Session, error) {
	at := newWhereabouts(sb)
	cmd, err := command(l.Interpreter, at, startEnv(l.Interpreter, l.Env))
	if err != nil {
		return nil, err
	}
	meta, err := initMeta(l, at)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	s, err := a.run(ctx, sb, l.Environment, cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", l.Interpreter.Path, err)
	}
	s.begun = begun
	s.bind(l)
	s.start()
	if err := s.write(ctx, frameInit, 0, meta, nil); err != nil && ctx.Err() != nil {
		s.kill()
		return nil, errors.Join(context.Cause(ctx), s.Close())
	} // otherwise the runtime has ended already, and Ready says how
	return s, nil
}

// run starts the process and returns its session, whose goroutines do not run
// yet.
func (a *Adapter) run(ctx context.Context, sb sandbox.Sandbox, environment string, cmd sandbox.Command) (_ *session, err error) {
	s := &session{
		log: a.log.With("environment", environment), started: make(chan struct{}),
		ready: make(chan struct{}), done: make(chan struct{}), closing: make(chan struct{}),
		pending: make(map[uint32]*call),
	}
	conn, socket, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, socket.Close()) }() // the runtime has it by then
	out, err := output.New(output.Config{Emit: s.emit, Request: s.current})
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
