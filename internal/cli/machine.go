package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/cli/doctor"
	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/fault"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Look at the node's configuration",
		Example: "  mayfly config show",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	show := &cobra.Command{
		Use:   "show",
		Short: "Print every key, its value and where it came from",
		Long: `Prints the configuration that "mayfly up" would start with, given the same flags,
environment and file. Secrets are not shown.`,
		Example: `  mayfly config show
  mayfly config show --config ./mayfly.yaml --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := config.Load(config.Sources{Flags: cmd.Flags(), Environ: a.Environ})
			if err != nil {
				return err
			}
			for _, w := range loaded.Warnings {
				a.warn(w)
			}
			if a.json {
				return a.printJSON(loaded.Show())
			}
			var rows [][]string
			for _, r := range loaded.Show() {
				rows = append(rows, []string{r.Key, r.Value, cmp.Or(r.Origin, r.Source)})
			}
			return a.table([]string{"KEY", "VALUE", "FROM"}, rows)
		},
	}
	config.Flags(show.Flags())
	a.jsonFlag(show)
	cmd.AddCommand(show)
	return cmd
}

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Report what this machine can do, and what is missing",
		Long: `Looks at isolation, languages, disk and addresses, and says for each what is
missing and how to get it. Nothing on the machine is changed. The exit code is 2
if a node would not start here.`,
		Example: `  mayfly doctor
  mayfly doctor --json | jq '.[] | select(.status != "ok")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := config.Load(config.Sources{Flags: cmd.Flags(), Environ: a.Environ})
			if err != nil {
				return err
			}
			cfg := loaded.Config
			findings := doctor.Run(cmd.Context(), doctor.Config{DataDir: cfg.DataDir, Control: cfg.Control, Gateway: cfg.Gateway, Scan: a.Scan})
			if err := a.printFindings(findings); err != nil {
				return err
			}
			if doctor.Worst(findings) == doctor.Fail {
				return fault.New(fault.Unavailable, "NotReady", "a node would not start here: see what failed above")
			}
			return nil
		},
	}
	config.Flags(cmd.Flags())
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) printFindings(findings []doctor.Finding) error {
	if a.json {
		return a.printJSON(findings)
	}
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Name))
	}
	styles := map[doctor.Status]string{doctor.OK: green, doctor.Warn: yellow, doctor.Fail: red}
	for _, f := range findings {
		fmt.Fprintf(a.Out, "%s  %-*s  %s\n", a.style(a.Out, styles[f.Status], fmt.Sprintf("%-4s", f.Status)), width, f.Name, f.Detail)
		if f.Fix != "" {
			fmt.Fprintf(a.Out, "      %*s  fix: %s\n", width, "", f.Fix)
		}
	}
	return nil
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version", Example: "  mayfly version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(map[string]string{"version": Version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			fmt.Fprintf(a.Out, "mayfly %s (%s, %s/%s)\n", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// Version is the version that this program was built from: a release's, or one
// that names the commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

func (a *app) runtimesCommand() *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:   "runtimes",
		Short: "List the runtimes that the node serves, and with what",
		Example: `  mayfly runtimes
  mayfly runtimes --all --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			list, err := c.Runtimes(cmd.Context())
			if err != nil {
				return err
			}
			if !all {
				list.Runtimes = slices.DeleteFunc(list.Runtimes, notAvailable)
			}
			if a.json {
				return a.printJSON(list)
			}
			var rows [][]string
			for _, r := range list.Runtimes {
				rows = append(rows, []string{r.Identifier, servedBy(r), strings.TrimSpace(r.Warning + " " + r.Missing)})
			}
			return a.table([]string{"RUNTIME", "SERVED BY", "NOTE"}, rows)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list those that can't run here, too")
	a.jsonFlag(cmd)
	return cmd
}
