package shim_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mayfly.dev/mayfly/internal/sandbox"
)

// bareSandbox runs a process without any isolation: these tests are about the
// conversation. What a sandbox has at /var/task is in a directory of the test.
type bareSandbox struct {
	places  map[string]string
	process *bareProcess
}

func newSandbox(tb testing.TB, mounts []sandbox.Mount, task string) *bareSandbox {
	tb.Helper()
	s := &bareSandbox{places: map[string]string{"/var/task": task, "/opt": filepath.Join(task, "opt")}}
	for _, m := range mounts {
		s.places[m.Target] = m.Source
	}
	return s
}

func (s *bareSandbox) HostPath(inside string) string {
	for target, source := range s.places {
		if rest, ok := strings.CutPrefix(inside, target); ok && (rest == "" || rest[0] == '/') {
			return source + rest
		}
	}
	return inside
}

func (s *bareSandbox) ID() string { return "bare" }

func (s *bareSandbox) Listen(context.Context, string) (net.Listener, error) {
	return nil, errors.New("this sandbox has no network of its own")
}

func (s *bareSandbox) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, nil }

func (s *bareSandbox) Start(_ context.Context, c sandbox.Command) (sandbox.Process, error) {
	cmd := exec.Command(s.HostPath(c.Path))
	cmd.Args, cmd.Env, cmd.Dir, cmd.ExtraFiles = c.Args, c.Env, s.HostPath(c.Dir), c.Files
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.process = &bareProcess{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(s.process.done)
		_ = cmd.Wait() // Exit tells how it ended
	}()
	return s.process, nil
}

func (s *bareSandbox) Destroy(context.Context) error {
	if s.process == nil {
		return nil
	}
	_ = syscall.Kill(-s.process.PID(), syscall.SIGKILL) // the group may be gone
	<-s.process.done
	return nil
}

type bareProcess struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func (p *bareProcess) PID() int              { return p.cmd.Process.Pid }
func (p *bareProcess) Done() <-chan struct{} { return p.done }

func (p *bareProcess) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (p *bareProcess) Exit() sandbox.Exit {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return sandbox.Exit{Code: -1, Signal: status.Signal().String()}
	}
	return sandbox.Exit{Code: p.cmd.ProcessState.ExitCode()}
}

// writeFiles makes a function's directory from names and contents.
func writeFiles(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir, err := filepath.EvalSymlinks(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	fill(tb, dir, files)
	return dir
}

func fill(tb testing.TB, dir string, files map[string]string) {
	tb.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), fs.ModePerm); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
}

func makeExecutable(tb testing.TB, path string) {
	tb.Helper()
	if err := os.Chmod(path, 0o755); err != nil {
		tb.Fatal(err)
	}
}
