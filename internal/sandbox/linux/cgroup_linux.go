package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox"
)

// cgroups is one version's way of limiting and counting what sandboxes use.
type cgroups interface {
	// create makes the group of a sandbox, without limits.
	create() (cgroup, error)
	// sweep kills what is in the groups of earlier processes below our parent, and
	// removes them.
	sweep(ctx context.Context) error
	// close removes the parent, if it is empty.
	close() error
	gaps() []sandbox.Gap
}

// cgroup is the group of one sandbox.
type cgroup interface {
	// join makes the script's process a member before anything of the sandbox
	// runs; release must be called after the script.
	join(s *script, p *process) (release func(), err error)
	// adopt makes a running process of one thread a member.
	adopt(pid int) error
	// limit sets the limits l, which were those of was before, or if that is zero
	// nobody knows. Each file that need not be written saves 20 µs of a binding.
	limit(was, l limits) error
	usage() (sandbox.Usage, error)
	// cpu is the part of usage that counts processor time.
	cpu() (time.Duration, error)
	// freezer is the group's own; nil: it can't be frozen.
	freezer() *freezer
	// reclaim gives back what the kernel keeps for the group of files, whether they
	// are mapped or were only read, and with swap the rest too.
	reclaim() error
	// discard removes a group that nothing has run in.
	discard() error
	// remove kills what is left in the group and removes it. It may be called
	// again after an error.
	remove(ctx context.Context) error
}

// limits are the parts of a spec that a cgroup enforces.
type limits struct {
	memoryBytes int64
	milliCPU    int
	pids        int
}

// The scheduling period. Short, so that a small share stalls for milliseconds
// instead of most of the kernel's default of 100 ms.
const (
	cpuPeriod    = 20 * time.Millisecond
	cpuMinQuota  = time.Millisecond // the kernel's own minimum
	cpuMaxPeriod = time.Second      // the kernel's own maximum
)

// quota returns the processor time that milliCPU thousandths of a processor
// have in each period, in microseconds, and the period.
func quota(milliCPU int) (quota, period int64) {
	p := cpuPeriod
	if smallest := cpuMinQuota * 1000 / time.Duration(max(1, milliCPU)); p < smallest {
		p = min(smallest, cpuMaxPeriod)
	}
	q := max(cpuMinQuota, p*time.Duration(milliCPU)/1000)
	return q.Microseconds(), p.Microseconds()
}

// groupPrefix starts the name of the cgroup that holds a node's sandboxes.
const groupPrefix = "mayfly-"

// groupNames numbers the groups of sandboxes. The prefix tells them from those
// that an earlier process of this node left behind.
type groupNames struct {
	prefix string
	last   atomic.Uint64
}

func newGroupNames() *groupNames {
	return &groupNames{prefix: strconv.FormatInt(time.Now().UnixNano(), 36) + "-"}
}

func (n *groupNames) next() string        { return n.prefix + strconv.FormatUint(n.last.Add(1), 10) }
func (n *groupNames) own(dir string) bool { return strings.HasPrefix(dir, n.prefix) }

// groupMode is the permission of a cgroup's directory: its owner's alone.
const groupMode = 0o700

// findCgroups returns the machine's cgroups: version 1 if any of the controllers
// that we use is there, else version 2, else none.
func findCgroups(nodeID string) (cgroups, error) {
	mounts, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	privileged := os.Geteuid() == 0
	if v1 := newV1(mounts, nodeID); v1 != nil && privileged {
		return v1, nil
	}
	if root := mounts[""]; root != "" {
		if !privileged {
			root = ownGroup(root)
		}
		v2, err := newV2(root, nodeID)
		if err == nil {
			return v2, nil
		}
		return noCgroups{why: err.Error()}, nil
	}
	return noCgroups{why: "there is no cgroup file system that this user may write"}, nil
}

// cgroupMounts returns where each controller of version 1 is mounted, and under
// the empty name where version 2 is.
func cgroupMounts() (map[string]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find the cgroups: %w", err)
	}
	return parseCgroupMounts(b), nil
}

func parseCgroupMounts(mountinfo []byte) map[string]string {
	mounts := make(map[string]string)
	for line := range bytes.Lines(mountinfo) {
		before, after, ok := strings.Cut(string(line), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		switch point := left[4]; right[0] {
		case "cgroup2":
			mounts[""] = point
		case "cgroup":
			for option := range strings.SplitSeq(right[2], ",") {
				mounts[option] = point
			}
		}
	}
	return mounts
}

// ownGroup returns the directory of the version 2 cgroup that this process is in.
func ownGroup(root string) string {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return root
	}
	for line := range bytes.Lines(b) {
		if own, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "0::"); ok {
			return filepath.Join(root, own)
		}
	}
	return root
}

// set writes one value to a file of a cgroup.
func set(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("limit %s: %w", file, err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("limit %s to %s: %w", file, value, err)
	}
	return nil
}

// setIfPresent is set for a file that not every kernel has.
func setIfPresent(dir, file, value string) error {
	if err := set(dir, file, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// number reads a cgroup file that holds one number; "max" is the largest.
func number(dir, file string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", file, err)
	}
	return parseNumber(file, b)
}

// minReclaim is how much memory must be there to be worth the milliseconds that
// reclaiming it takes.
const minReclaim = 256 << 10

// reclaimable returns how much of a group's memory might be had: that of files
// and, if there is somewhere to put it, the other.
func reclaimable(dir, files, other string) (int64, error) {
	size, err := field(dir, "memory.stat", files)
	if err != nil || !hasSwap() {
		return size, err
	}
	more, err := field(dir, "memory.stat", other)
	return size + more, err
}

// hasSwap reports whether the machine can page out memory that is no file's.
func hasSwap() bool {
	b, err := os.ReadFile("/proc/swaps")
	return err == nil && bytes.Count(b, []byte("\n")) > 1 // the first line is a heading
}

// field reads a number from a cgroup file of lines "key number"; 0 if the key is
// not there.
func field(dir, file, key string) (int64, error) {
	var m meter
	defer m.close()
	return m.field(dir, file, key)
}

// noCgroups stands in where there are none that we may use.
type noCgroups struct{ why string }

var _ cgroups = noCgroups{}

func (noCgroups) create() (cgroup, error)     { return noCgroup{}, nil }
func (noCgroups) sweep(context.Context) error { return nil }
func (noCgroups) close() error                { return nil }

func (n noCgroups) gaps() []sandbox.Gap {
	return []sandbox.Gap{{
		What: "Memory, processor share and the number of processes of a sandbox as a whole are not limited or measured, and it can't be frozen.",
		Why:  "No cgroups can be used: " + n.why + ".",
		Fix:  "Run the node as root, or as a systemd service with Delegate=yes on a machine with cgroup version 2.",
	}}
}

type noCgroup struct{}

func (noCgroup) join(*script, *process) (func(), error) { return func() {}, nil }
func (noCgroup) adopt(int) error                        { return nil }
func (noCgroup) limit(_, _ limits) error                { return nil }
func (noCgroup) usage() (sandbox.Usage, error)          { return sandbox.Usage{}, nil }
func (noCgroup) freezer() *freezer                      { return nil }
func (noCgroup) reclaim() error                         { return nil }
func (noCgroup) cpu() (time.Duration, error)            { return 0, nil }
func (noCgroup) discard() error                         { return nil }
func (noCgroup) remove(context.Context) error           { return nil }
