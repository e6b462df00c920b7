package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
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
	// Concurrency is how many invocations the runtime runs at once.
	Concurrency int `json:"concurrency"`
	// Zygote asks for a runtime that is copied and serves nothing itself.
	Zygote bool `json:"zygote,omitempty"`
}

// maxConcurrency names the variable that tells user code that it is called
// several times at once.
const maxConcurrency = "AWS_LAMBDA_MAX_CONCURRENCY"

func initMeta(l runtimeapi.Launch, at whereabouts) ([]byte, error) {
	env := at.env(l.Env)
	slots := l.Version.Slots()
	if slots > 1 {
		env = maps.Clone(env)
		env[maxConcurrency] = strconv.Itoa(slots)
	}
	meta, err := json.Marshal(initFrame{
		Handler: l.Version.Handler, TaskRoot: at.path(taskDir), OptRoot: at.path(optDir), Env: env,
		TimeoutMillis: l.Version.Timeout.Milliseconds(), Concurrency: slots, Zygote: l.Zygote,
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
	if err := s.write(ctx, frameInit, meta); err != nil && ctx.Err() != nil {
		s.kill()
		return nil, errors.Join(context.Cause(ctx), s.Close())
	} // otherwise the runtime has ended already, and Ready says how
	return s, nil
}

// run starts the process and returns its session, whose goroutines do not run
// yet.
func (a *Adapter) run(ctx context.Context, sb sandbox.Sandbox, environment string, cmd sandbox.Command) (_ *session, err error) {
	s, socket, err := a.prepare(environment)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, socket.Close()) }() // the runtime has it by then
	cmd.Stdout, cmd.Stderr, cmd.Files = s.out.Stdout(), s.out.Stderr(), []*os.File{socket}
	if s.process, err = sb.Start(ctx, cmd); err != nil {
		return nil, errors.Join(err, s.out.Close(), s.link.close())
	}
	return s, nil
}

// prepare returns a session whose runtime is not there yet, and the runtime's end
// of the conversation.
func (a *Adapter) prepare(environment string) (s *session, socket *os.File, err error) {
	s = &session{
		log: a.log.With("environment", environment), started: make(chan struct{}),
		ready: make(chan struct{}), done: make(chan struct{}), closing: make(chan struct{}),
		writing: make(chan struct{}, 1), line: line{slots: 1, alone: company},
	}
	s.in.short, s.in.turn = &a.short, make(chan struct{}, 1)
	s.in.taken = true // by the session's goroutine, until the runtime is ready
	s.in.turn <- struct{}{}
	s.in.decoder = decoder{maxPayload: invocation.MaxResponseBytes, handle: s.handle}
	s.in.idle = time.AfterFunc(time.Hour, s.lookIfIdle)
	s.in.idle.Stop()
	if s.link, socket, err = socketPair(); err != nil {
		return nil, nil, err
	}
	if s.out, err = output.New(output.Config{Emit: s.emit, Request: s.line.current}); err != nil {
		return nil, nil, errors.Join(err, s.link.close(), socket.Close())
	}
	return s, socket, nil
}

// socketPair returns our end of a stream socket and the runtime's, which is
// blocking and closed on exec except where a process is given it.
func socketPair() (*link, *os.File, error) {
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
	theirs := os.NewFile(uintptr(fds[1]), "shim")
	ours, err := newLink(fds[0])
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
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
