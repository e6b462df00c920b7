// Package sandboxtest is the suite that every sandbox driver passes. A package
// that runs it calls [Inside] first in its TestMain, since the suite executes the
// test binary again inside the sandboxes.
package sandboxtest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Action is what a test binary does inside a sandbox, with the arguments that it
// got. Its error is printed and makes the exit status 1.
type Action func(args []string) error

// actionVariable names the action in the environment of a test binary that runs
// inside a sandbox.
const actionVariable = "MAYFLY_SANDBOXTEST_ACTION"

// Inside performs the action that the environment names, among the suite's own
// and more, and exits. Without one it returns.
func Inside(more map[string]Action) {
	name := os.Getenv(actionVariable)
	if name == "" {
		return
	}
	action, ok := more[name]
	if !ok {
		action, ok = map[string]Action{"dial": dial, "env": printEnv}[name]
	}
	if !ok {
		fmt.Fprintln(os.Stderr, "no such action:", name)
		os.Exit(2)
	}
	if err := action(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// dial prints what the listener at args[0] says.
func dial(args []string) error {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(context.Background(), "tcp", args[0])
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = io.Copy(os.Stdout, conn)
	return err
}

// printEnv prints the environment and the descriptors from 3 on.
func printEnv([]string) error {
	for _, v := range os.Environ() {
		fmt.Fprintln(os.Stdout, v)
	}
	_, err := io.Copy(os.Stdout, os.NewFile(3, "3"))
	return err
}
