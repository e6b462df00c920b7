package cli_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"mayfly.dev/mayfly/internal/cli"
	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/language"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mayfly": mayfly})
}

// mayfly is the command of the scripts. Its node says that it is ready and ends.
func mayfly() {
	p := &cli.Program{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(),
		Serve: func(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(cli.Ready)) error {
			if cfg.Sandbox == "linux" {
				return errors.New("no rights")
			}
			ready(cli.Ready{
				Control: "http://" + cfg.Control, Gateway: "http://" + cfg.Gateway, Driver: "none",
				Interpreters: []language.Interpreter{{Family: language.Node, Version: "20.20.2"}},
			})
			log.InfoContext(ctx, "node is up")
			return nil
		},
		Scan: func(context.Context) ([]language.Interpreter, error) {
			return []language.Interpreter{{Family: language.Python, Version: "3.11.7", Path: "/usr/bin/python3"}}, nil
		},
	}
	os.Exit(p.Main(context.Background(), os.Args[1:]))
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			t := env.T().(testing.TB)
			data := filepath.Join(env.WorkDir, ".data")
			if err := os.Mkdir(data, 0o700); err != nil {
				return err
			}
			_, endpoint := startNode(t, data)
			env.Setenv("MAYFLY_ENDPOINT", endpoint)
			env.Setenv("MAYFLY_DATA_DIR", data)
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
		},
	})
}

// exits checks the exit code of a command: exits CODE PROGRAM ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = "2"
		if err.Error() == "exit status 1" {
			code = "1"
		} else if err.Error() != "exit status 2" {
			ts.Fatalf("%v", err)
		}
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}
