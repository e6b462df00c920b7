package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// namespaces are those that a sandbox is made of.
const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS

func isolation(ctx context.Context) []Finding {
	privileged := os.Geteuid() == 0
	return []Finding{rights(privileged), namespace(ctx, privileged), cgroups(privileged), seccomp(), firewall(privileged)}
}

func rights(privileged bool) Finding {
	if privileged {
		return Finding{Name: "user", Status: OK, Detail: "root: everything can be enforced"}
	}
	return Finding{
		"user", Warn, fmt.Sprintf("uid %d: sandboxes use a user namespace, and limits only where the system delegates them", os.Geteuid()),
		"run the node as root to enforce all limits and to give functions a network",
	}
}

// namespace starts a program in fresh namespaces and waits for its end.
func namespace(ctx context.Context, privileged bool) Finding {
	cmd := exec.CommandContext(ctx, "/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	what := "mount, pid, network, ipc, uts"
	if !privileged {
		what += ", user"
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if err := cmd.Run(); err != nil {
		fix := "in a container, start it with --privileged or with CAP_SYS_ADMIN and an unconfined seccomp profile"
		if !privileged {
			fix = "sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0, or run the node as root"
		}
		return Finding{"namespaces", Warn, fmt.Sprintf("a process in fresh namespaces (%s) did not start: %v", what, err), fix + "; without them --sandbox none runs functions unprotected"}
	}
	return Finding{Name: "namespaces", Status: OK, Detail: what}
}

// controllers are those that limit a sandbox.
var controllers = []string{"memory", "cpu", "pids", "freezer"}

// cgroups reports the version, the controllers and whether we may make groups.
func cgroups(privileged bool) Finding {
	const root = "/sys/fs/cgroup"
	f := Finding{Name: "cgroups", Status: OK}
	var have []string
	if list, err := os.ReadFile(filepath.Join(root, "cgroup.controllers")); err == nil {
		have = append(strings.Fields(string(list)), "freezer") // part of every v2 group
		f.Detail = "version 2"
	} else {
		for _, name := range controllers {
			if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.IsDir() {
				have = append(have, name)
			}
		}
		f.Detail = "version 1"
	}
	missing := slices.DeleteFunc(slices.Clone(controllers), func(c string) bool { return slices.Contains(have, c) })
	switch {
	case len(missing) == len(controllers):
		f.Status, f.Detail = Warn, "no controller is mounted below "+root+": limits of memory, CPU and processes are not enforced"
		f.Fix = "mount cgroups, for example by running under systemd"
	case len(missing) > 0:
		f.Status, f.Detail = Warn, f.Detail+", without "+strings.Join(missing, ", ")
		f.Fix = "enable them in the kernel or in cgroup.subtree_control"
	case !privileged && !delegated(root, "/proc/self/cgroup"):
		f.Status, f.Detail = Warn, f.Detail+", but this user may make no groups: limits of memory, CPU and processes are not enforced"
		f.Fix = "run the node as root, or on version 2 as a systemd service with Delegate=yes"
	case privileged && !writable(root, have):
		f.Status, f.Detail = Warn, f.Detail+", but mounted read-only: limits are not enforced"
		f.Fix = "in a container, mount /sys/fs/cgroup read-write"
	default:
		f.Detail += ": " + strings.Join(controllers, ", ")
	}
	return f
}

// delegated reports whether we may make groups below our own, which is in the
// file self. Only version 2 leaves that to others than root.
func delegated(root, self string) bool {
	groups, err := os.ReadFile(self)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(groups)) {
		if own, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			_, err := os.Stat(filepath.Join(root, own, "cgroup.controllers"))
			return err == nil && unix.Access(filepath.Join(root, own), unix.W_OK) == nil
		}
	}
	return false
}

func writable(root string, have []string) bool {
	if unix.Access(root, unix.W_OK) == nil {
		return true
	}
	return slices.ContainsFunc(have, func(c string) bool { return unix.Access(filepath.Join(root, c), unix.W_OK) == nil })
}

func seccomp() Finding {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil || !bytes.Contains(status, []byte("\nSeccomp:")) {
		return Finding{"seccomp", Warn, "the kernel has no seccomp: system calls are not filtered", "use a kernel with CONFIG_SECCOMP_FILTER"}
	}
	return Finding{Name: "seccomp", Status: OK, Detail: "system calls can be filtered"}
}

// firewall makes a table in a network namespace of its own, which ends with the
// thread that entered it.
func firewall(privileged bool) Finding {
	f := Finding{Name: "nftables", Status: Warn, Fix: "load the kernel modules nf_tables and nft_nat; without them functions have no outgoing traffic"}
	if !privileged {
		f.Detail, f.Fix = "only root can give functions a network: they run without outgoing traffic", "run the node as root"
		return f
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, and its namespace, end with the goroutine
		done <- tryFirewall()
	}()
	if err := <-done; err != nil {
		f.Detail = fmt.Sprintf("a table could not be made: %v", err)
		return f
	}
	return Finding{Name: f.Name, Status: OK, Detail: "outgoing traffic can be filtered and translated"}
}

func tryFirewall() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "mayfly_doctor"})
	conn.AddChain(&nftables.Chain{
		Name: "nat", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	return errors.Join(conn.Flush(), conn.CloseLasting())
}

func freeBytes(dir string) (uint64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
