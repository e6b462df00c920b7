// Package cli is the mayfly command: it reads arguments, talks to a node through
// the native API's client, and prints for people or, with --json, for programs.
// Building, manifests, templates and the machine's report are packages of their
// own below; running a node is handed in.
//
// Standard output carries what was asked for and nothing else; progress,
// warnings and errors go to standard error. One Program serves one command.
package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/sandbox"
)

// The exit codes.
const (
	ExitOK       = 0
	ExitFunction = 1 // the function was called and failed
	ExitError    = 2 // the platform, the command line or the build failed
)

// Program is the command with what it is connected to.
type Program struct {
	In       io.Reader
	Out, Err io.Writer
	// Environ holds NAME=value pairs, as os.Environ returns them.
	Environ []string
	// Serve runs a node until ctx is done and it has drained. It calls ready once,
	// when it serves.
	Serve func(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(Ready)) error
	// Scan finds this machine's interpreters.
	Scan func(context.Context) ([]language.Interpreter, error)
}

// Ready is what a node says when it serves.
type Ready struct {
	// Control and Gateway are base URLs.
	Control, Gateway string
	// Driver isolates execution environments; Gaps is what it can't enforce.
	Driver       string
	Gaps         []sandbox.Gap
	Interpreters []language.Interpreter
}

// Main runs one command line, without the program's name, and returns the exit
// code.
func (p *Program) Main(ctx context.Context, args []string) int {
	a := &app{Program: p}
	root := a.root()
	tuneCompletion(root)
	root.SetArgs(args)
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	if errors.Is(err, errFunctionFailed) {
		return ExitFunction
	}
	a.report(cmd, err)
	return ExitError
}

// app is a Program on its way through one command.
type app struct {
	*Program

	endpoint, dataDir, namespace string
	json                         bool
}

// The groups that help lists commands in.
const (
	groupFunctions = "functions"
	groupNode      = "node"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mayfly",
		Short: "A serverless platform in one binary",
		Long: `mayfly runs functions: start a node with "mayfly up", deploy a folder or a file
with "mayfly deploy", call it with "mayfly invoke" or by its URL.`,
		Example: `  mayfly up                                   # in one terminal
  mayfly init hello && mayfly deploy hello    # in another
  mayfly invoke hello --data '{"name": "you"}'`,
		SilenceErrors: true, SilenceUsage: true,
		SuggestionsMinimumDistance: 2, Args: knownCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.endpoint, "endpoint", "", "control plane of the node (MAYFLY_ENDPOINT; default http://127.0.0.1:9000)")
	flags.StringVar(&a.dataDir, "data-dir", "", "data directory of the node, where its key is (MAYFLY_DATA_DIR)")
	flags.StringVar(&a.namespace, "namespace", "", "namespace of the functions (MAYFLY_NAMESPACE; default that of the key)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })
	root.AddGroup(&cobra.Group{ID: groupFunctions, Title: "Functions:"}, &cobra.Group{ID: groupNode, Title: "The node:"})
	for _, c := range []func() *cobra.Command{a.initCommand, a.deployCommand, a.invokeCommand, a.lsCommand, a.describeCommand, a.logsCommand, a.urlCommand, a.rmCommand} {
		cmd := c()
		cmd.GroupID = groupFunctions
		root.AddCommand(cmd)
	}
	for _, c := range []func() *cobra.Command{a.upCommand, a.credentialsCommand, a.runtimesCommand, a.configCommand, a.doctorCommand, a.simCommand} {
		cmd := c()
		cmd.GroupID = groupNode
		root.AddCommand(cmd)
	}
	root.AddCommand(a.versionCommand())
	return root
}

// tuneCompletion gives the library's completion command an example and refuses
// shells that it doesn't know, which it would answer with its help.
func tuneCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Example = `  source <(mayfly completion bash)
  mayfly completion fish > ~/.config/fish/completions/mayfly.fish`
			cmd.Args = knownCommand
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// jsonFlag adds --json to a command that prints data.
func (a *app) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
}

// env looks up an environment variable.
func (a *app) env(name string) (string, bool) {
	for _, pair := range slices.Backward(a.Environ) { // the last one counts, as for exec
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
