package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

// command is a tool of the user's that a build runs.
type command struct {
	name string
	args []string
	dir  string
	env  []string // added to our own
	// install says how to get the tool.
	install string
}

// outputTail is how much of a failed tool's output the user gets to read.
const outputTail = 4 << 10

// run waits for the tool's end. Its output is kept for the case that it fails.
func run(ctx context.Context, c command) error {
	path, err := exec.LookPath(c.name)
	if err != nil {
		return fault.Wrap(err, fault.Unsupported, "ToolNotFound", "%s is needed to build this function and was not found: %s", c.name, c.install)
	}
	var out tail
	cmd := exec.CommandContext(ctx, path, c.args...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		return nil
	}
	if _, ended := errors.AsType[*exec.ExitError](err); !ended {
		return fmt.Errorf("run %s: %w", c.name, err)
	}
	return fault.Wrap(err, fault.Invalid, "BuildFailed", "%s failed:\n%s", c.title(), strings.TrimSpace(out.String()))
}

func (c command) title() string {
	words := []string{c.name}
	for _, a := range c.args {
		if strings.HasPrefix(a, "-") && a != "-m" {
			break
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// tail is a writer that keeps the last bytes.
type tail struct {
	kept []byte
	cut  bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if n := len(t.kept) - outputTail; n > 0 {
		t.kept, t.cut = append(t.kept[:0], t.kept[n:]...), true
	}
	return len(p), nil
}

func (t *tail) String() string {
	if t.cut {
		return "..." + string(t.kept)
	}
	return string(t.kept)
}
