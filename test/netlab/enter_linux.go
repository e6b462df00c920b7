package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// stage is the environment variable by which a process knows that it is in the
// lab.
const stage = "MAYFLY_NETLAB"

// Enter moves the test binary into a network namespace that has lo alone. The
// process that calls it first runs itself again in there and exits with the
// outcome; the one inside, and what that starts, returns.
//
// Without root the namespace comes with a user namespace, where the system
// allows those. Enter ends the process if there can be no lab: no test may go
// on and meet a real network.
func Enter() {
	switch os.Getenv(stage) {
	case "inside":
		return
	case "entering":
		if err := settle(); err != nil {
			fail(err)
		}
		return
	}
	code, err := again()
	if err != nil {
		fail(err)
	}
	os.Exit(code)
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "netlab: %v\n", err)
	os.Exit(1)
}

// again runs the same test binary with the same arguments inside.
func again() (int, error) {
	runtime.LockOSThread() // the signal at the parent's death counts its thread as the parent
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...) //nolint:gosec // the test binary, with its own arguments
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stage+"=entering")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("enter a network namespace, which needs root or user namespaces: %w", err)
	}
	return 0, nil
}

// settle makes sure that the namespace is the new one before anything is done
// in it.
func settle() error {
	devices, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list the devices: %w", err)
	}
	for _, d := range devices {
		if d.Flags&net.FlagUp != 0 {
			return fmt.Errorf("this is not a new network namespace: it has the device %s", d.Name)
		}
	}
	return os.Setenv(stage, "inside")
}
