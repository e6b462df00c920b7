package linux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Removing a cgroup fails for a moment after its last process has been reaped.
const (
	removeTries = 200
	removePause = 5 * time.Millisecond
)

// removeGroup kills what is in the cgroup at dir, until nothing is, and removes
// it. A directory that is gone is no error.
func removeGroup(ctx context.Context, dir string) error {
	for range removeTries {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		if err := killGroup(dir); err != nil {
			return err
		}
		if err := pause(ctx, removePause); err != nil {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
	}
	return fmt.Errorf("remove cgroup %s: processes in it do not end", dir)
}

// killGroup kills every process in the cgroup at dir.
func killGroup(dir string) error {
	f, err := os.Open(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list cgroup: %w", err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 0 is a process outside our pid namespace; killing it would kill us.
		if pid, err := strconv.Atoi(lines.Text()); err == nil && pid > 0 && pid != os.Getpid() {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended by itself
		}
	}
	return nil
}

// sweepGroups removes the groups below parent that names did not make, and what
// is in them.
func sweepGroups(ctx context.Context, parent string, names *groupNames) error {
	return eachLeftover(parent, names, func(dir string) error { return removeGroup(ctx, dir) })
}

// eachLeftover calls do with the groups below parent that names did not make.
func eachLeftover(parent string, names *groupNames, do func(dir string) error) error {
	entries, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep cgroups: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() && !names.own(e.Name()) {
			errs = append(errs, do(filepath.Join(parent, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
