package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
)

// insideVariable marks the process that runs in the namespace.
const insideVariable = "BENCH_INSIDE"

// enter runs the benchmarks in a network namespace that has lo alone, so that
// nothing they start can send a packet elsewhere and their addresses are free. It
// keeps the mount namespace: the node needs the machine's control groups. Without
// root they run where they are.
func enter(run func() error) error {
	if os.Geteuid() != 0 {
		return run()
	}
	if os.Getenv(insideVariable) == "" {
		return again()
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return run()
}

// again runs this program inside.
func again() error {
	runtime.LockOSThread() // the death signal counts the thread as the parent
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...) //nolint:gosec // this program, with its own arguments
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	// An interrupt is for the process inside, which cleans up.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok { // it has said why
		os.Exit(max(1, exit.ExitCode()))
	}
	return err
}
