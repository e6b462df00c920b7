package cli

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// completionTimeout bounds how long a press of the tab key may take.
const completionTimeout = 2 * time.Second

// completeNames offers the names of the deployed functions. Without a node there
// is nothing to offer.
func (a *app) completeNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	many := strings.HasSuffix(cmd.Use, "...")
	if len(args) > 0 && !many {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := a.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	all, err := allFunctions(ctx, c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, f := range all {
		if !slices.Contains(args, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// complete offers fixed values for a flag.
func complete(cmd *cobra.Command, flag string, values func() []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values(), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil { // the flag doesn't exist: a mistake of ours
		panic(err)
	}
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// nameOf makes a function's name of a path's last element.
func nameOf(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	base := filepath.Base(abs)
	if ext := filepath.Ext(base); ext != base { // hello.js is hello
		base = strings.TrimSuffix(base, ext)
	}
	name := strings.Trim(notInNames.ReplaceAllString(base, "-"), "-")
	name = name[:min(len(name), function.MaxNameLength)]
	if function.CheckName(name) != nil {
		return "", fault.New(fault.Invalid, "FunctionName", "no name can be made of %q: give one with --name", path)
	}
	return name, nil
}
