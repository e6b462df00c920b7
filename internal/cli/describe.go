package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
)

// lastInvocations is how many describe shows.
const lastInvocations = 5

// description is the form of --json.
type description struct {
	Function     wire.Function      `json:"function"`
	Environments []wire.Environment `json:"environments"`
	Invocations  []wire.Record      `json:"invocations"`
}

func (a *app) describeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe NAME",
		Short: "Show a function's settings, environments and last invocations",
		Example: `  mayfly describe hello
  mayfly describe hello --json | jq .function.settings`,
		Args:              exactArgs("NAME"),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			d, err := describe(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(d)
			}
			return a.printDescription(d)
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func describe(ctx context.Context, c *client.Client, name string) (*description, error) {
	f, err := c.Function(ctx, name)
	if err != nil {
		return nil, err
	}
	envs, err := c.Environments(ctx, name)
	if err != nil {
		return nil, err
	}
	page, err := c.Invocations(ctx, name, "", lastInvocations)
	if err != nil {
		return nil, err
	}
	return &description{f, envs, page.Invocations}, nil
}

func (a *app) printDescription(d *description) error {
	f, s := d.Function, d.Function.Settings
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(a.Out, "%-12s %s\n", key, value)
		}
	}
	fmt.Fprintln(a.Out, a.style(a.Out, bold, f.Name))
	line("state", strings.TrimSuffix(state(&f)+": "+f.StateReason+f.UpdateFailure, ": "))
	line("url", urlOf(&f))
	line("arn", f.ARN)
	line("runtime", s.Runtime)
	line("handler", s.Handler)
	line("description", s.Description)
	line("memory", fmt.Sprintf("%d MB, /tmp %d MB", s.MemoryMB, s.EphemeralMB))
	line("timeout", seconds(s.TimeoutSeconds).String())
	line("egress", egressText(s.Egress))
	if s.IdleTimeoutSeconds > 0 {
		line("idle", seconds(s.IdleTimeoutSeconds).String())
	}
	if f.ReservedConcurrency != nil {
		line("concurrency", strconv.Itoa(*f.ReservedConcurrency))
	}
	line("environments", environmentsText(&s))
	if s.QueueTimeoutSeconds > 0 {
		line("queue", "up to "+seconds(s.QueueTimeoutSeconds).String())
	}
	line("env", strings.Join(pairs(s.Env), "\n             "))
	line("tags", strings.Join(pairs(f.Tags), "\n             "))
	line("code", fmt.Sprintf("%s, sha256 %s", size(f.Code.SizeBytes), f.Code.SHA256))
	line("modified", f.Modified.Local().Format(time.DateTime))
	for _, w := range f.Warnings {
		line(a.style(a.Out, yellow, "warning"), w)
	}
	return a.printActivity(d)
}

func (a *app) printActivity(d *description) error {
	now := time.Now()
	fmt.Fprintf(a.Out, "\n%s\n", a.style(a.Out, bold, fmt.Sprintf("Environments: %d", len(d.Environments))))
	if len(d.Environments) > 0 {
		var rows [][]string
		for _, e := range d.Environments {
			rows = append(rows, []string{e.ID, e.State, ago(e.Started, now), strconv.Itoa(e.Invocations), strconv.Itoa(e.MemoryMB) + " MB"})
		}
		if err := a.table([]string{"ID", "STATE", "STARTED", "CALLS", "MEMORY"}, rows); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.Out, "\n%s\n", a.style(a.Out, bold, "Last invocations"))
	if len(d.Invocations) == 0 {
		fmt.Fprintln(a.Out, "none yet")
		return nil
	}
	var rows [][]string
	for _, r := range d.Invocations {
		rows = append(rows, []string{ago(r.Received, now), r.RequestID, r.Trigger, strings.TrimSpace(r.Outcome + " " + r.ErrorType), millis(r.DurationMs), start(&r)})
	}
	return a.table([]string{"WHEN", "REQUEST ID", "TRIGGER", "OUTCOME", "DURATION", "START"}, rows)
}

// environmentsText says what the function sets about its environments; empty:
// nothing beside the node's defaults.
func environmentsText(s *wire.Settings) string {
	var parts []string
	if s.MinEnvironments > 0 {
		parts = append(parts, fmt.Sprintf("at least %d", s.MinEnvironments))
	}
	if s.MaxEnvironments > 0 {
		parts = append(parts, fmt.Sprintf("at most %d", s.MaxEnvironments))
	}
	if s.Concurrency > 1 {
		parts = append(parts, fmt.Sprintf("%d calls at once in each", s.Concurrency))
	}
	return strings.Join(parts, ", ")
}

// start says how a call found its environment.
func start(r *wire.Record) string {
	if !r.ColdStart {
		return "warm"
	}
	took := "cold, " + millis(r.SandboxMs+r.RuntimeMs+r.LoadMs+r.InitMs)
	if r.ColdStartReason != "" {
		took += " (" + r.ColdStartReason + ")"
	}
	return took
}

func egressText(e *wire.Egress) string {
	switch {
	case e == nil:
		return ""
	case len(e.Allow) > 0:
		return strings.Join(e.Allow, ", ")
	default:
		return e.Mode
	}
}
