package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/lambda"
	"mayfly.dev/mayfly/internal/runtimeapi/shim"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/none"
)

// session compares the two ways of speaking to user code, without a node around
// them and without isolation: our shims' frames, and the Lambda Runtime API over
// HTTP with the same interpreter and its standard HTTP client.
func (b *bench) session(ctx context.Context) (_ *Table, err error) {
	s := &stage{bench: b}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	if err := s.open(); err != nil {
		return nil, err
	}
	t := &Table{
		Title: "One call of a session: the shim's frames against the Lambda Runtime API over HTTP",
		Columns: []Column{
			{"frames", "µs"}, {"HTTP", "µs"}, {"HTTP to frames", "×"},
		},
	}
	for _, in := range []language.Interpreter{b.node, b.python} {
		framed, err := s.shim(ctx, in)
		if err != nil {
			return nil, err
		}
		overHTTP, err := s.loop(ctx, in)
		if err != nil {
			return nil, err
		}
		times, err := interleave(ctx, b.rounds(20), calls(framed), calls(overHTTP))
		if err != nil {
			return nil, err
		}
		x, y := median(times[0]), median(times[1])
		t.row(string(in.Family)+" "+in.Version, map[string]float64{
			"frames": microseconds(x), "HTTP": microseconds(y), "HTTP to frames": float64(y) / float64(x),
		})
	}
	custom, err := s.custom(ctx)
	if err != nil {
		return nil, err
	}
	times, err := interleave(ctx, b.rounds(20), calls(custom))
	if err != nil {
		return nil, err
	}
	t.row("Go, aws-lambda-go", map[string]float64{"HTTP": microseconds(median(times[0]))})
	return t, nil
}

// calls is the contestant that makes calls and returns the median of their times.
func calls(s runtimeapi.Session) contestant {
	return func(ctx context.Context) (time.Duration, error) {
		times := make([]time.Duration, 100)
		for i := range times {
			inv := &invocation.Invocation{
				ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), ARN: "arn:aws:lambda:us-east-1:000000000000:function:hello",
				Payload: []byte(`{"name":"world"}`), Deadline: time.Now().Add(time.Minute),
			}
			begun := time.Now()
			r, err := s.Invoke(ctx, inv)
			if err != nil {
				return 0, err
			}
			if r.FunctionError != "" {
				return 0, fmt.Errorf("the function failed: %s", r.Payload)
			}
			times[i] = time.Since(begun)
		}
		return median(times), nil
	}
}

// stage is where sessions run.
type stage struct {
	bench     *bench
	driver    *none.Driver
	shims     *shim.Adapter
	api       *lambda.Adapter
	sandboxes []sandbox.Sandbox
	sessions  []runtimeapi.Session
}

func (s *stage) open() (err error) {
	if s.driver, err = none.New(none.Config{StateDir: filepath.Join(s.bench.dir, "stage")}); err != nil {
		return err
	}
	s.api = lambda.New(lambda.Config{})
	s.shims, err = shim.New(shim.Config{Dir: filepath.Join(s.bench.dir, "shims")})
	return err
}

func (s *stage) close(ctx context.Context) error {
	var errs []error
	for i, sb := range s.sandboxes {
		errs = append(errs, sb.Destroy(ctx))
		if i < len(s.sessions) {
			errs = append(errs, s.sessions[i].Close())
		}
	}
	if s.driver != nil {
		errs = append(errs, s.driver.Close())
	}
	return errors.Join(errs...)
}

func (s *stage) shim(ctx context.Context, in language.Interpreter) (runtimeapi.Session, error) {
	handler, file := "index.handler", "testdata/index.js"
	if in.Family == language.Python {
		handler, file = "app.handler", "testdata/app.py"
	}
	if err := s.shims.Prepare(ctx, in); err != nil {
		return nil, err
	}
	return s.launch(ctx, s.shims, in, handler, map[string]string{file: ""})
}

// loop is the interpreter with a loop over its HTTP client as custom runtime.
func (s *stage) loop(ctx context.Context, in language.Interpreter) (runtimeapi.Session, error) {
	files := map[string]string{"testdata/index.js": "", "testdata/loop.js": "#!" + in.Path + "\n"}
	if in.Family == language.Python {
		files = map[string]string{"testdata/app.py": "", "testdata/loop.py": "#!" + in.Path + " -S\n"}
	}
	return s.launch(ctx, s.api, in, "", files)
}

func (s *stage) custom(ctx context.Context) (runtimeapi.Session, error) {
	return s.launch(ctx, s.api, language.Interpreter{}, "", map[string]string{s.bench.goHello: ""})
}

// launch starts a package of files, those whose name is not a handler's being the
// bootstrap, with a first line before each.
func (s *stage) launch(ctx context.Context, a runtimeapi.Adapter, in language.Interpreter, handler string, files map[string]string) (runtimeapi.Session, error) {
	name := fmt.Sprintf("session-%d", len(s.sandboxes))
	task := filepath.Join(s.bench.dir, name)
	if err := os.Mkdir(task, 0o755); err != nil { //nolint:gosec // runtimes may have other uids
		return nil, err
	}
	for file, firstLine := range files {
		content, err := programs.ReadFile(file)
		if err != nil {
			content, err = os.ReadFile(file)
		}
		base := filepath.Base(file)
		if base != "index.js" && base != "app.py" {
			base = "bootstrap"
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(task, base), append([]byte(firstLine), content...), 0o755) //nolint:gosec // it is a program
		}
		if err != nil {
			return nil, err
		}
	}
	sb, err := s.driver.Create(ctx, sandbox.Spec{
		ID: name, MemoryBytes: 1 << 30, MilliCPU: 1000, PIDs: 64, OpenFiles: 256, TmpBytes: 1 << 20,
		Mounts: append([]sandbox.Mount{{Source: task, Target: "/var/task"}}, a.Mounts(in)...),
	})
	if err != nil {
		return nil, err
	}
	s.sandboxes = append(s.sandboxes, sb)
	v := &function.Version{Namespace: "default", Function: name, Settings: function.Settings{Handler: handler}}
	session, err := a.Launch(ctx, sb, runtimeapi.Launch{
		Environment: name, Version: v, Interpreter: in, Output: func(runtimeapi.Line) {},
		Env: runtimeapi.Environ(v, runtimeapi.Params{Environment: name, Started: time.Now(), Interpreter: in}),
	})
	if err != nil {
		return nil, err
	}
	s.sessions = append(s.sessions, session)
	return session, session.Ready(ctx)
}
