package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/cli/build"
	"mayfly.dev/mayfly/internal/cli/manifest"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
)

func (a *app) deployCommand() *cobra.Command {
	f := &deployFlags{}
	cmd := &cobra.Command{
		Use:   "deploy [PATH]",
		Short: "Build a folder or a file and bring it up",
		Long: `Deploys a folder, a source file or a zip as a function. Language, runtime and
handler are detected and shown; npm, pip and go are run when they are needed, in
a cache and not in your folder; TypeScript is bundled. Flags change what they
name, the other settings of a deployed function stay.

If PATH holds a mayfly.yaml, the whole app in it is deployed: the plan is shown
first, and settings are what the manifest says.`,
		Example: `  mayfly deploy hello
  mayfly deploy hello.py --name greeter --memory 256 --env GREETING=hi
  mayfly deploy function.zip --runtime nodejs22.x --handler index.handler
  mayfly deploy examples/app --plan`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.given = cmd.Flags()
			path := "."
			if len(args) > 0 {
				path = args[0]
			}
			return a.deploy(cmd.Context(), path, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "name of the function (default: that of the folder or file)")
	flags.StringVar(&f.runtime, "runtime", "", "runtime identifier (default: the newest of the language that the node has)")
	flags.StringVar(&f.handler, "handler", "", "handler, such as index.handler (default: detected)")
	flags.StringVar(&f.description, "description", "", "free text")
	flags.StringVar(&f.architecture, "architecture", "", "x86_64 or arm64 (default: this machine's)")
	flags.IntVar(&f.memory, "memory", function.DefaultMemoryMB, "memory in MB")
	flags.IntVar(&f.tmp, "tmp", function.DefaultEphemeralMB, "size of /tmp in MB")
	flags.DurationVar(&f.timeout, "timeout", function.DefaultTimeout, "bound of one invocation")
	flags.DurationVar(&f.idle, "idle", 0, "how long an idle environment is kept; 0s: as the node decides")
	flags.StringVar(&f.concurrency, "concurrency", "", "cap of the concurrent invocations; 0 stops the function, none removes the cap")
	flags.IntVar(&f.perEnvironment, "environment-concurrency", 1, "invocations that one environment runs at once")
	flags.IntVar(&f.minEnvironments, "min-environments", 0, "environments that are kept started, whether there are calls or not")
	flags.IntVar(&f.maxEnvironments, "max-environments", 0, "bound of the environments; 0: the node's")
	flags.DurationVar(&f.queueTimeout, "queue-timeout", 0, "how long a call may wait for an environment; 0s: the node's default")
	flags.StringArrayVar(&f.env, "env", nil, "environment variable K=V; K= removes it (repeatable)")
	flags.StringSliceVar(&f.egress, "egress", nil, "outgoing traffic: none, internet, or networks in CIDR form")
	flags.BoolVar(&f.url, "url", false, "give the function a public URL (a new function gets one anyway)")
	flags.BoolVar(&f.noURL, "no-url", false, "give the function no URL, or take it away")
	flags.StringSliceVar(&f.only, "only", nil, "deploy only these functions of the app")
	flags.BoolVar(&f.planOnly, "plan", false, "only show what would be done")
	flags.BoolVar(&f.prune, "prune", false, "delete functions of the app that left its manifest")
	flags.BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	cmd.MarkFlagsMutuallyExclusive("url", "no-url")
	complete(cmd, "runtime", language.Identifiers)
	complete(cmd, "architecture", func() []string { return []string{"x86_64", "arm64"} })
	complete(cmd, "concurrency", func() []string { return []string{"none"} })
	complete(cmd, "egress", func() []string { return []string{"none", "internet"} })
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) deploy(ctx context.Context, path string, f *deployFlags) error {
	targets, appName, err := a.targets(path, f)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	d := &deployment{app: a, client: c, appName: appName, builder: &build.Builder{
		CacheDir: build.DefaultCacheDir(), Step: func(s string) { a.note("  %s", s) },
	}}
	plan, err := d.plan(ctx, targets, f.prune)
	if err != nil {
		return err
	}
	if appName != "" || f.planOnly {
		a.printPlan(plan, appName)
	}
	if f.planOnly {
		return a.printOutcome(plan, appName)
	}
	if appName != "" && !f.yes && plan.changes() > 0 && !a.confirm("apply?") {
		return fault.New(fault.Invalid, "NotConfirmed", "nothing was changed")
	}
	if err := d.apply(ctx, plan); err != nil {
		return err
	}
	return a.printOutcome(plan, appName)
}

// targets reads what is to be deployed: an app, whose name comes back, or one
// function.
func (a *app) targets(path string, f *deployFlags) ([]*target, string, error) {
	if isManifest(path) {
		if err := f.refuse(singleFlags, "doesn't go with a manifest: write it there"); err != nil {
			return nil, "", err
		}
		return a.appTargets(path, f.only)
	}
	if err := f.refuse(appFlags, "goes with a mayfly.yaml, and there is none"); err != nil {
		return nil, "", err
	}
	t, err := f.target(path)
	return []*target{t}, "", err
}

func isManifest(path string) bool {
	switch filepath.Ext(path) {
	case ".yaml", ".yml":
		return true
	}
	_, err := os.Stat(filepath.Join(path, manifest.FileName))
	return err == nil
}

func (a *app) appTargets(path string, only []string) ([]*target, string, error) {
	app, err := manifest.Read(path, a.env)
	if err != nil {
		return nil, "", err
	}
	for _, name := range only {
		if app.Functions[name] == nil {
			return nil, "", usage("--only %s: the app %s has no such function", name, app.Name)
		}
	}
	var targets []*target
	for _, name := range app.Names() {
		f := app.Functions[name]
		wantURL := f.HasURL()
		targets = append(targets, &target{
			name: name, path: app.Path(f), settings: f.Settings(), architecture: f.Architecture, whole: true,
			tags: withApp(f.Tags, app.Name), url: &wantURL, reserved: f.Concurrency, setsReserved: true,
			skip: len(only) > 0 && !slices.Contains(only, name),
		})
	}
	return targets, app.Name, nil
}

// printOutcome says what was done, or with --plan what would be.
func (a *app) printOutcome(p *plan, appName string) error {
	if a.json {
		return a.printJSON(p.outcome(appName))
	}
	for _, s := range p.steps {
		for _, w := range s.warnings {
			a.warn(s.name + ": " + w)
		}
	}
	if p.applied {
		a.printDeployed(p)
	}
	return nil
}

func (a *app) printDeployed(p *plan) {
	var last *step
	for _, s := range p.steps {
		if s.deployed == nil {
			continue
		}
		verb := map[action]string{actionCreate: "created", actionUpdate: "updated", actionNone: "unchanged"}[s.action]
		fmt.Fprintf(a.Out, "%s %s", a.style(a.Out, green, verb), s.name)
		if url := urlOf(s.deployed); url != "" {
			fmt.Fprintf(a.Out, "  %s", url)
		}
		fmt.Fprintln(a.Out)
		last = s
	}
	if last != nil {
		a.note("\nNext:\n  mayfly invoke %s --data '{\"name\": \"you\"}'\n  mayfly logs %s -f", last.name, last.name)
	}
}
