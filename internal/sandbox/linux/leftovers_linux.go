package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox/procstat"
)

// leftovers notes the first process of each sandbox in a file, for the sweep
// after a crash. The kernel kills a sandbox when the node dies, but a process can
// opt out of that; and cgroups, the other way to find it, may be missing.
type leftovers struct{ dir string }

// note records the sandbox's process. It is not synced: if the machine crashes,
// the process is gone as well.
func (l leftovers) note(s *Sandbox, pid int) error {
	if _, without := s.group.(noCgroup); !without {
		return nil // the cgroup says the same
	}
	start, err := procstat.StartTicks(pid)
	if err != nil {
		return fmt.Errorf("note process %d: %w", pid, err)
	}
	return os.WriteFile(l.file(s), fmt.Appendf(nil, "%d %s\n", pid, start), 0o600)
}

func (l leftovers) forget(s *Sandbox) error {
	if err := os.Remove(l.file(s)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (l leftovers) file(s *Sandbox) string { return filepath.Join(l.dir, s.spec.ID) }

// sweep kills the processes that are noted, unless their ids belong to others by
// now, and forgets them.
func (l leftovers) sweep() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return fmt.Errorf("sweep processes: %w", err)
	}
	var errs []error
	for _, e := range entries {
		name := filepath.Join(l.dir, e.Name())
		b, err := os.ReadFile(name)
		if err == nil {
			killNoted(string(b))
			err = os.Remove(name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// killNoted kills the process that a note names. The pidfd is opened before the
// start time is compared, so what is killed is what was compared.
func killNoted(note string) {
	id, start, _ := strings.Cut(strings.TrimSpace(note), " ")
	pid, err := strconv.Atoi(id)
	if err != nil || pid <= 1 {
		return // cut off by the crash
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if now, err := procstat.StartTicks(pid); err == nil && now == start {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}
