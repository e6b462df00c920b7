package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mayfly.dev/mayfly/internal/fault"
)

// errFunctionFailed says that a function failed and that its payload has been
// printed: nothing is left to say.
var errFunctionFailed = errors.New("the function failed")

// usage is the fault of a command line that makes no sense.
func usage(format string, args ...any) error {
	return fault.New(fault.Invalid, "Usage", format, args...)
}

// report prints an error on standard error: a sentence with its reason, or with
// --json an object with kind, reason and detail.
func (a *app) report(cmd *cobra.Command, err error) {
	kind, reason, detail := classify(err)
	if a.json {
		text, encodeErr := json.Marshal(map[string]string{"kind": kind.String(), "reason": reason, "detail": detail})
		if encodeErr == nil { // three texts always marshal
			fmt.Fprintf(a.Err, "%s\n", text)
			return
		}
	}
	fmt.Fprintf(a.Err, "%s %s", a.style(a.Err, red, "error:"), detail)
	if reason != "" && reason != "Usage" {
		fmt.Fprintf(a.Err, " (%s)", reason)
	}
	fmt.Fprintln(a.Err)
	if reason == "Usage" {
		fmt.Fprintf(a.Err, "see %q\n", cmd.CommandPath()+" --help")
	}
}

// classify finds what to say. Errors of our own process carry no class: here the
// caller is the operator, who may read them in full.
func classify(err error) (kind fault.Kind, reason, detail string) {
	e, ok := errors.AsType[*fault.Error](err)
	switch {
	case ok && e.Kind == fault.Internal:
		return e.Kind, e.Reason, e.Error()
	case ok:
		return e.Kind, e.Reason, e.Detail
	case errors.Is(err, context.Canceled):
		return fault.Unavailable, "Interrupted", "interrupted"
	default:
		return fault.Internal, "", err.Error()
	}
}

// noArgs and its siblings are cobra's checks in our words.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("unexpected argument %q", args[0])
	}
	return nil
}

// knownCommand refuses what is no command, with what may be meant.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		return usage("there is no command %q: is it %s?", args[0], strings.Join(near, ", "))
	}
	return usage("there is no command %q", args[0])
}

func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("%s is missing", names[len(args)])
		case len(args) > len(names):
			return usage("unexpected argument %q", args[len(names)])
		default:
			return nil
		}
	}
}

func atMostOne(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage("unexpected argument %q", args[1])
	}
	return nil
}
