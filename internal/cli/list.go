package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

func (a *app) lsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"},
		Short: "List the functions",
		Example: `  mayfly ls
  mayfly ls --json | jq -r '.[].name'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := allFunctions(cmd.Context(), c)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(all)
			}
			if len(all) == 0 {
				a.note("no functions yet: mayfly init hello && mayfly deploy hello")
				return nil
			}
			now := time.Now()
			var rows [][]string
			for _, f := range all {
				rows = append(rows, []string{f.Name, f.Settings.Runtime, strconv.Itoa(f.Settings.MemoryMB) + " MB", state(&f), ago(f.Modified, now), urlOf(&f)})
			}
			return a.table([]string{"NAME", "RUNTIME", "MEMORY", "STATE", "MODIFIED", "URL"}, rows)
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// allFunctions lists a namespace. It returns an empty list rather than nil, for
// JSON's sake.
func allFunctions(ctx context.Context, c *client.Client) ([]wire.Function, error) {
	all := []wire.Function{}
	for f, err := range c.Functions(ctx) {
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func state(f *wire.Function) string {
	switch {
	case f.Updating:
		return "Updating"
	case f.UpdateFailure != "":
		return f.State + ", last update failed"
	default:
		return f.State
	}
}

func urlOf(f *wire.Function) string {
	if f.URL == nil {
		return ""
	}
	return f.URL.Address
}

func (a *app) urlCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "url NAME",
		Short: "Print a function's public address",
		Example: `  mayfly url hello
  curl "$(mayfly url hello)?name=you"`,
		Args:              exactArgs("NAME"),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			f, err := c.Function(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case f.URL == nil:
				return fault.New(fault.NotFound, "NoURL", "the function %s has no URL: deploy it with --url", args[0])
			case a.json:
				return a.printJSON(f.URL)
			}
			fmt.Fprintln(a.Out, f.URL.Address)
			return nil
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) rmCommand() *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use: "rm NAME...", Aliases: []string{"delete"},
		Short: "Delete functions",
		Long:  "Deletes functions with their URLs. In a terminal it asks first.",
		Example: `  mayfly rm hello
  mayfly rm hello other --yes`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("NAME is missing")
			}
			return nil
		},
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if !yes && !a.confirm("delete "+strings.Join(args, ", ")+"?") {
				return fault.New(fault.Invalid, "NotConfirmed", "nothing was deleted")
			}
			for _, name := range args {
				if err := c.DeleteFunction(cmd.Context(), name); err != nil {
					return err
				}
				a.note("deleted %s", name)
			}
			if a.json {
				return a.printJSON(map[string][]string{"deleted": args})
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	a.jsonFlag(cmd)
	return cmd
}

func notAvailable(r wire.Runtime) bool { return !r.Available }

func servedBy(r wire.Runtime) string {
	switch {
	case r.Interpreter != nil:
		return r.Interpreter.Version + " (" + r.Interpreter.Path + ")"
	case r.Available:
		return "the function's own bootstrap"
	default:
		return "-"
	}
}

// pairs renders names with values, sorted.
func pairs(m map[string]string) []string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, key+"="+m[key])
	}
	return list
}
