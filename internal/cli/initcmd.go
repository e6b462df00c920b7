package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/cli/manifest"
	"mayfly.dev/mayfly/internal/cli/templates"
)

func (a *app) initCommand() *cobra.Command {
	template, name := "", ""
	var lines []string
	for _, t := range templates.All {
		lines = append(lines, fmt.Sprintf("  %-11s %s, %s", t.Name, t.Language, t.Summary))
	}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Start a new function from a template",
		Long:  "Writes a small function and its mayfly.yaml into DIR, or into the current folder.\n\nTemplates:\n" + strings.Join(lines, "\n"),
		Example: `  mayfly init hello
  mayfly init api --template typescript`,
		Args: atMostOne,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return a.initIn(dir, template, name)
		},
	}
	cmd.Flags().StringVarP(&template, "template", "t", templates.All[0].Name, "what to start from")
	cmd.Flags().StringVar(&name, "name", "", "name of the function (default: that of the folder)")
	complete(cmd, "template", templates.Names)
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) initIn(dir, template, name string) error {
	if name == "" {
		var err error
		if name, err = nameOf(dir); err != nil {
			return err
		}
	}
	files, err := templates.Write(dir, template, name)
	if err != nil {
		return err
	}
	schema := filepath.Join(dir, ".mayfly", "mayfly.schema.json")
	if err := os.MkdirAll(filepath.Dir(schema), 0o755); err != nil { //nolint:gosec // a project folder, the umask decides
		return err
	}
	if err := os.WriteFile(schema, manifest.SchemaFile, 0o644); err != nil { //nolint:gosec // for editors to read
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"name": name, "dir": dir, "template": template, "files": files})
	}
	fmt.Fprintf(a.Out, "%s is a new %s function:\n\n", a.style(a.Out, bold, name), template)
	for _, f := range files {
		fmt.Fprintf(a.Out, "  %s\n", filepath.Join(dir, f))
	}
	fmt.Fprintf(a.Out, "\nNext:\n  mayfly deploy %s\n  mayfly invoke %s --data '{\"name\": \"you\"}'\n", shellQuote(dir), name)
	return nil
}
