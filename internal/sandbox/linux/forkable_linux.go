package linux

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox/linux/ptrace"
)

// Forkable looks for what the child of s's first process has that a copy would
// share with it, or would lack.
func (s *Sandbox) Forkable() error {
	pid, err := s.forking()
	if err != nil {
		return err
	}
	if err := ptrace.Check(pid); err != nil {
		return fault.Wrap(err, fault.Unsupported, "ForkRefused",
			"this machine does not let the node copy processes: that takes CAP_SYS_PTRACE, CAP_SYS_ADMIN and a kernel with CONFIG_CHECKPOINT_RESTORE")
	}
	p := original(filepath.Join("/proc", strconv.Itoa(pid)))
	for _, look := range []func() (string, error){p.threads, p.others, p.files, p.memory, p.signals, p.timers, p.places} {
		reason, err := look()
		if err != nil {
			return fmt.Errorf("look at a process that is to be copied: %w", err)
		}
		if reason != "" {
			return fault.New(fault.Unsupported, "NotForkable", "the runtime can't be copied after its init phase: %s", reason)
		}
	}
	return nil
}

// original is the directory of /proc of a process that is to be copied. Its
// methods say what is in the way, each in its own respect; empty: nothing.
type original string

func (p original) read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(p), name))
}

func (p original) threads() (string, error) {
	tasks, err := os.ReadDir(filepath.Join(string(p), "task"))
	if err != nil || len(tasks) == 1 {
		return "", err
	}
	return fmt.Sprintf("it has %d threads", len(tasks)), nil
}

// others looks for processes beside the first one of the sandbox and its child.
func (p original) others() (string, error) {
	entries, err := os.ReadDir(filepath.Join(string(p), "root", "proc"))
	if err != nil {
		return "", err
	}
	processes := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			processes++
		}
	}
	if processes > 2 {
		return fmt.Sprintf("it has left %d processes", processes-2), nil
	}
	return "", nil
}

// given are the descriptors that the platform gave the process, and gives anew
// to a copy. stateless are files that have nothing to share.
const given = 4

var stateless = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

func (p original) files() (string, error) {
	dir := filepath.Join(string(p), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err != nil || n < given {
			continue
		}
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		if !slices.Contains(stateless, target) {
			kind, _, _ := strings.Cut(target, "[")
			return "it holds open " + strings.TrimSuffix(kind, ":"), nil
		}
	}
	return "", nil
}

// memory looks for memory that a copy would share instead of having its own.
func (p original) memory() (string, error) {
	maps, err := p.read("maps")
	for line := range bytes.Lines(maps) {
		if f := strings.Fields(string(line)); len(f) > 1 && f[1][1] == 'w' && f[1][3] == 's' {
			return strings.TrimSpace("it shares memory: " + strings.Join(f[5:], " ")), nil
		}
	}
	return "", err
}

// awaited are signals that come without a process that sends them. Who handles
// them waits for a timer, or for children, which is the shim's task.
var awaited = []unix.Signal{unix.SIGALRM, unix.SIGVTALRM, unix.SIGPROF, unix.SIGCHLD}

func (p original) signals() (string, error) {
	status, err := p.read("status")
	for line := range bytes.Lines(status) {
		name, mask, _ := strings.Cut(string(line), ":\t")
		if name != "SigCgt" && name != "SigIgn" {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
		if err != nil {
			return "", err
		}
		for _, s := range awaited {
			if set>>(s-1)&1 != 0 {
				return "it handles " + unix.SignalName(s), nil
			}
		}
	}
	return "", err
}

func (p original) timers() (string, error) {
	timers, err := p.read("timers")
	if err == nil && len(timers) > 0 {
		return "it has set a timer", nil
	}
	return "", err
}

// places looks for what is in places that a copy has for itself.
func (p original) places() (string, error) {
	for _, dir := range []string{"tmp", "dev/shm"} {
		entries, err := os.ReadDir(filepath.Join(string(p), "root", dir))
		if err != nil {
			return "", err
		}
		if len(entries) > 0 {
			return "there are files in /" + dir, nil
		}
	}
	cwd, err := os.Readlink(filepath.Join(string(p), "cwd"))
	for _, dir := range []string{"/tmp", "/dev/shm", "/proc"} {
		if cwd == dir || strings.HasPrefix(cwd, dir+"/") {
			return "its working directory is " + cwd, nil
		}
	}
	return "", err
}
