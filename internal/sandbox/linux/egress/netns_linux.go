package egress

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// threadNamespace is the network namespace of whichever thread opens it.
const threadNamespace = "/proc/thread-self/ns/net"

// visit runs do on a thread that has entered the network namespace target, and
// brings the thread back to home.
func visit(home, target *os.File, do func() error) error {
	return away(home, func() error {
		if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return do()
	})
}

// away runs do on a locked thread which do may take to other namespaces. The
// thread is unlocked only when it is home again; otherwise it ends with the
// goroutine.
//
// The thread is never the process's first: that one can't end, and while it is
// away /proc/self would show the process to be there.
func away(home *os.File, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			err := away(home, do) // on another thread, as this one is taken
			runtime.UnlockOSThread()
			done <- err
			return
		}
		err := do()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// newNamespace makes a network namespace in which lo is up and IPv6 is off, and
// then runs do on a thread inside. The caller closes the file.
func newNamespace(ctx context.Context, home *os.File, do func(ns *os.File) error) (*os.File, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	var ns *os.File
	err := away(home, func() error {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if ns, err = os.Open(threadNamespace); err != nil {
			return fmt.Errorf("open a new network namespace: %w", err)
		}
		if err := loopbackUp(); err != nil {
			return err
		}
		return do(ns)
	})
	if err != nil {
		if ns != nil {
			err = errors.Join(err, ns.Close())
		}
		return nil, err
	}
	return ns, nil
}

// loopbackUp brings up lo of the thread's namespace, whose index is always 1.
func loopbackUp() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("speak to the kernel of network devices: %w", err)
	}
	defer h.Close()
	lo := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: 1}}
	if err := h.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}

// disableIPv6 turns IPv6 off for all devices that the thread's namespace has
// and will have. A kernel without IPv6 has nothing to turn off.
func disableIPv6() error {
	for _, name := range []string{"all", "default"} {
		err := writeSysctl("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", "1")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("turn IPv6 off: %w", err)
		}
	}
	return nil
}

// writeSysctl sets a parameter; those of /proc/sys/net belong to the network
// namespace of the calling thread.
func writeSysctl(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// routes returns a handle on the devices and routes of a namespace.
func routes(ns *os.File) (*netlink.Handle, error) {
	h, err := netlink.NewHandleAt(netns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("speak to the kernel of network devices: %w", err)
	}
	return h, nil
}

// listTries bounds how often a list is asked for that changes meanwhile.
const listTries = 10

// list asks the kernel for a list again if it changed while it was read, which
// leaves the first answer incomplete.
func list[T any](read func() ([]T, error)) ([]T, error) {
	for range listTries - 1 {
		if all, err := read(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return read()
}
