package cli

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/config"
)

func (a *app) upCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a node on this machine",
		Long: `Starts a node and serves until it is stopped. With SIGTERM or Ctrl-C it drains:
invocations under way may finish within the drain timeout; a second Ctrl-C ends
it at once. Everything that was deployed is there again at the next start.

Each flag can also be set in the configuration file or as MAYFLY_<FLAG> in the
environment; "mayfly config show" prints the result.`,
		Example: `  mayfly up
  mayfly up --data-dir ~/mayfly --gateway 127.0.0.1:8000
  MAYFLY_LOG_LEVEL=debug mayfly up`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := config.Load(config.Sources{Flags: cmd.Flags(), Environ: a.Environ})
			if err != nil {
				return err
			}
			for _, w := range loaded.Warnings {
				a.warn(w)
			}
			return a.Serve(cmd.Context(), loaded.Config, newLog(a.Err, loaded.Config), func(r Ready) { a.welcome(loaded.Config, r) })
		},
	}
	config.Flags(cmd.Flags())
	return cmd
}

// newLog is the node's own log.
func newLog(w io.Writer, cfg config.Config) *slog.Logger {
	opts := &slog.HandlerOptions{}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err == nil { // the configuration has checked it
		opts.Level = level
	}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// welcome is the one screen that a started node prints.
func (a *app) welcome(cfg config.Config, r Ready) {
	line := func(format string, args ...any) { fmt.Fprintf(a.Out, format+"\n", args...) }
	head := func(text string) string { return a.style(a.Out, bold, text) }
	line("%s\n", head("mayfly "+Version()+" is up"))
	line("  control plane  %s", r.Control)
	line("  functions      %s", r.Gateway)
	line("  data           %s", cfg.DataDir)
	line("  sandbox        %s", r.Driver)
	languages := make([]string, len(r.Interpreters))
	for i, in := range r.Interpreters {
		languages[i] = string(in.Family) + " " + in.Version
	}
	if len(languages) == 0 {
		languages = []string{"none found: custom runtimes only"}
	}
	line("  languages      %s", strings.Join(languages, ", "))
	for _, g := range r.Gaps {
		line("  %s   %s\n                 %s", a.style(a.Out, yellow, "not enforced"), g.What, g.Why)
	}
	line("\n%s", head("Deploy a function, in another terminal:"))
	if r.Control != client.DefaultEndpoint {
		line("  export MAYFLY_ENDPOINT=%s", shellQuote(r.Control))
	}
	if cfg.DataDir != config.DefaultDataDir() {
		line("  export MAYFLY_DATA_DIR=%s", shellQuote(cfg.DataDir))
	}
	line("  mayfly init hello && mayfly deploy hello")
	line("  mayfly invoke hello --data '{\"name\": \"you\"}'")
	line("\n%s", head("Use AWS tools:"))
	line("  eval \"$(mayfly credentials --export)\" && aws lambda list-functions")
	line("\nStop with Ctrl-C. What is deployed stays.\n")
}
