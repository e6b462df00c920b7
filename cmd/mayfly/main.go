// Command mayfly is the whole platform: the node, and the tools to use it.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"mayfly.dev/mayfly/internal/cli"
	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal drains, a second one ends the process at once
	program := &cli.Program{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Serve: serve, Scan: language.Scan,
	}
	os.Exit(program.Main(ctx, os.Args[1:]))
}

func serve(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(cli.Ready)) error {
	return server.Run(ctx, cfg, server.Options{
		Version: cli.Version(), Log: log,
		Ready: func(i server.Info) { ready(cli.Ready(i)) },
	})
}
