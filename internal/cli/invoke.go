package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
)

func (a *app) invokeCommand() *cobra.Command {
	data, showLog, verbose := "", false, false
	cmd := &cobra.Command{
		Use:   "invoke NAME",
		Short: "Call a function and print what it answers",
		Long: `Calls a function, waits, and prints its answer byte for byte and nothing else.

The exit code is 0 if the function succeeded, 1 if it failed (its error is
printed on standard output), 2 if the platform could not call it.`,
		Example: `  mayfly invoke hello
  mayfly invoke hello --data '{"name": "you"}'
  mayfly invoke hello --data @event.json | jq .
  cat event.json | mayfly invoke hello --data - --log`,
		Args:              exactArgs("NAME"),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			payload, err := a.payload(data)
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			result, err := c.Invoke(cmd.Context(), args[0], payload, client.InvokeOptions{LogTail: showLog})
			if err != nil {
				return err
			}
			return a.printResult(result, showLog, verbose)
		},
	}
	cmd.Flags().StringVarP(&data, "data", "d", "{}", "the event: JSON, @FILE, or - for standard input")
	cmd.Flags().BoolVar(&showLog, "log", false, "print the end of the call's log on standard error")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print how long each phase of the call took on standard error")
	a.jsonFlag(cmd)
	return cmd
}

// payload reads what --data names, up to what a call may carry.
func (a *app) payload(data string) ([]byte, error) {
	in := a.In
	switch {
	case data == "-":
	case strings.HasPrefix(data, "@"):
		f, err := os.Open(data[1:])
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "DataFile", "the data file can't be read: %v", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	default:
		return []byte(data), nil
	}
	payload, err := io.ReadAll(io.LimitReader(in, invocation.MaxRequestBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the data: %w", err)
	}
	if len(payload) > invocation.MaxRequestBytes {
		return nil, fault.New(fault.TooLarge, "RequestTooLarge", "the data is larger than %d bytes: pass a reference to it instead", invocation.MaxRequestBytes)
	}
	return payload, nil
}

// invoked is the form of --json.
type invoked struct {
	RequestID       string  `json:"requestId"`
	FunctionError   string  `json:"functionError,omitempty"`
	ErrorType       string  `json:"errorType,omitempty"`
	QueueMs         float64 `json:"queueMs"`
	SandboxMs       float64 `json:"sandboxMs,omitempty"`
	RuntimeMs       float64 `json:"runtimeMs,omitempty"`
	LoadMs          float64 `json:"loadMs,omitempty"`
	InitMs          float64 `json:"initMs,omitempty"`
	DurationMs      float64 `json:"durationMs"`
	BilledMs        float64 `json:"billedMs"`
	ColdStart       bool    `json:"coldStart"`
	ColdStartReason string  `json:"coldStartReason,omitempty"`
	// Payload is the answer as JSON, PayloadText the answer that is none.
	Payload     json.RawMessage `json:"payload,omitempty"`
	PayloadText *string         `json:"payloadText,omitempty"`
	LogTail     string          `json:"logTail,omitempty"`
}

func (a *app) printResult(r *client.Result, showLog, verbose bool) error {
	if err := a.printPayload(r); err != nil {
		return err
	}
	if (showLog || verbose) && !a.json {
		fmt.Fprintf(a.Err, "%s", r.LogTail)
		fmt.Fprintln(a.Err, a.style(a.Err, dim, r.RequestID+": "+phases(r)))
	}
	if r.FunctionError != "" {
		return errFunctionFailed
	}
	return nil
}

// phases says how long the parts of a call took.
func phases(r *client.Result) string {
	queue := "queue " + round(r.Queue)
	if !r.ColdStart {
		return fmt.Sprintf("%s (warm, %s)", round(r.Duration), queue)
	}
	reason := cmp.Or(r.ColdStartReason, "no reason known")
	return fmt.Sprintf("%s (cold start, %s: %s, sandbox %s, runtime %s, load %s, init %s)",
		round(r.Duration), reason, queue, round(r.Sandbox), round(r.Runtime), round(r.Load), round(r.Init))
}

func (a *app) printPayload(r *client.Result) error {
	if a.json {
		out := invoked{
			RequestID: r.RequestID, FunctionError: r.FunctionError, ErrorType: r.ErrorType,
			QueueMs: inMillis(r.Queue), SandboxMs: inMillis(r.Sandbox), RuntimeMs: inMillis(r.Runtime), LoadMs: inMillis(r.Load),
			InitMs: inMillis(r.Init), DurationMs: inMillis(r.Duration), BilledMs: inMillis(r.Billed),
			ColdStart: r.ColdStart, ColdStartReason: r.ColdStartReason, LogTail: string(r.LogTail),
		}
		if json.Valid(r.Payload) {
			out.Payload = r.Payload
		} else {
			text := string(r.Payload)
			out.PayloadText = &text
		}
		return a.printJSON(out)
	}
	if _, err := a.Out.Write(r.Payload); err != nil {
		return err
	}
	if isTerminal(a.Out) {
		fmt.Fprintln(a.Out)
	}
	return nil
}
