package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
)

func (a *app) logsCommand() *cobra.Command {
	var (
		follow, bare bool
		since        time.Duration
		query        client.LogQuery
	)
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print what a function logged",
		Long: `Prints the newest lines of a function's log, the oldest of them first. With -f it
goes on until it is interrupted. With --json each line is an object on a line of
its own.`,
		Example: `  mayfly logs hello
  mayfly logs hello -f
  mayfly logs hello --since 1h --request 3f1c9a52-7a0c-4f0e-9d53-1d0f6f2b8a11`,
		Args:              exactArgs("NAME"),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case query.Limit < 0 || query.Limit == 0 && !follow:
				return usage("--lines %d: print at least one, or none before those that come with -f", query.Limit)
			case since < 0:
				return usage("--since %s: write how long ago, such as 10m", since)
			case query.Limit == 0:
				query.Limit = -1 // none, to the client
			}
			if since > 0 {
				query.Since = time.Now().Add(-since)
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			query.Newest = true
			show := func(l wire.Line) error { return a.printLine(l, bare) }
			if follow {
				return interrupted(cmd.Context(), c.FollowLogs(cmd.Context(), args[0], query, show))
			}
			page, err := c.Logs(cmd.Context(), args[0], query)
			if err != nil {
				return err
			}
			for _, l := range page.Lines {
				if err := show(l); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	cmd.Flags().BoolVar(&bare, "no-platform", false, "leave out the platform's START, END and REPORT lines")
	cmd.Flags().DurationVar(&since, "since", 0, "only lines of this time span, such as 10m")
	cmd.Flags().StringVar(&query.RequestID, "request", "", "only lines of this invocation")
	cmd.Flags().IntVarP(&query.Limit, "lines", "n", 100, "how many lines to begin with")
	a.jsonFlag(cmd)
	return cmd
}

// interrupted takes the end of following by Ctrl-C for the success that it is.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (a *app) printLine(l wire.Line, bare bool) error {
	if a.json {
		return json.NewEncoder(a.Out).Encode(l)
	}
	if l.Stream == "platform" && bare {
		return nil
	}
	id, _, _ := strings.Cut(l.RequestID, "-")
	stamp := a.style(a.Out, dim, l.Time.Local().Format("15:04:05.000")+" "+fmt.Sprintf("%-8s", id))
	_, err := fmt.Fprintf(a.Out, "%s %s\n", stamp, strings.TrimRight(l.Text, "\n"))
	return err
}
