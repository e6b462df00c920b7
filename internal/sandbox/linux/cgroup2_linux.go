package linux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox"
)

// v2Controllers are the controllers that we ask for.
const v2Controllers = "+memory +cpu +pids"

// cgroups2 is cgroup version 2: one hierarchy for all controllers.
type cgroups2 struct {
	parent  string
	names   *groupNames
	freezes bool
}

var _ cgroups = (*cgroups2)(nil)

// newV2 makes our parent group in the group at root, which this process may be
// in itself: a group that hands on controllers may hold no processes, so we move
// into a group beside the sandboxes' then.
func newV2(root, nodeID string) (*cgroups2, error) {
	c := &cgroups2{parent: filepath.Join(root, groupPrefix+nodeID), names: newGroupNames()}
	if err := os.Mkdir(c.parent, groupMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	err := set(root, "cgroup.subtree_control", v2Controllers)
	if errors.Is(err, unix.EBUSY) {
		if err = moveSelf(root, nodeID); err == nil {
			err = set(root, "cgroup.subtree_control", v2Controllers)
		}
	}
	if err == nil {
		err = set(c.parent, "cgroup.subtree_control", v2Controllers)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Rmdir(c.parent))
	}
	c.freezes = unix.Access(filepath.Join(c.parent, freezeFile), unix.W_OK) == nil
	return c, nil
}

// moveSelf moves this process into a leaf group of its own.
func moveSelf(root, nodeID string) error {
	leaf := filepath.Join(root, groupPrefix+"node-"+nodeID)
	if err := os.Mkdir(leaf, groupMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make cgroup: %w", err)
	}
	return set(leaf, "cgroup.procs", "0")
}

func (c *cgroups2) gaps() []sandbox.Gap {
	if c.freezes {
		return nil
	}
	return []sandbox.Gap{{
		What: "Idle sandboxes can't be frozen: what runs in one between calls takes processor time.",
		Why:  "The kernel is older than 5.2.",
		Fix:  "Run the node on a newer kernel.",
	}}
}

func (c *cgroups2) create() (cgroup, error) {
	g := &cgroup2{dir: filepath.Join(c.parent, c.names.next())}
	if err := makeGroup(g.dir); err != nil {
		return nil, err
	}
	if c.freezes {
		g.freeze = newFreezer2(g.dir)
	}
	return g, nil
}

const freezeFile = "cgroup.freeze"

func newFreezer2(dir string) *freezer {
	return &freezer{
		file: filepath.Join(dir, freezeFile), stop: []byte("1"), wake: []byte("0"),
		state: filepath.Join(dir, "cgroup.events"), settled: []byte("frozen 1"),
		prepare: func() error { return nil },
	}
}

func (g *cgroup2) discard() error { return unix.Rmdir(g.dir) }

func (c *cgroups2) sweep(ctx context.Context) error { return sweepGroups(ctx, c.parent, c.names) }

func (c *cgroups2) close() error {
	if err := unix.Rmdir(c.parent); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove cgroup %s: %w", c.parent, err)
	}
	return nil
}

type cgroup2 struct {
	dir    string
	meter  meter
	freeze *freezer // nil: the kernel can't
}

func (g *cgroup2) freezer() *freezer { return g.freeze }

func (g *cgroup2) reclaim() error {
	size, err := reclaimable(g.dir, "file", "anon")
	if err != nil || size < minReclaim {
		return err
	}
	// EAGAIN: less could be had.
	if err := setIfPresent(g.dir, "memory.reclaim", strconv.FormatInt(size, 10)); !errors.Is(err, unix.EAGAIN) {
		return err
	}
	return nil
}

func (g *cgroup2) limit(was, l limits) error {
	var errs []error
	if was == (limits{}) {
		errs = append(errs, setIfPresent(g.dir, "memory.swap.max", "0"),
			// Half of a sandbox is of no use: all of it goes when it is out of memory.
			setIfPresent(g.dir, "memory.oom.group", "1"))
	}
	if was.memoryBytes != l.memoryBytes {
		errs = append(errs, set(g.dir, "memory.max", strconv.FormatInt(l.memoryBytes, 10)))
	}
	if was.milliCPU != l.milliCPU {
		q, period := quota(l.milliCPU)
		errs = append(errs,
			setIfPresent(g.dir, "cpu.max.burst", "0"), // never above the quota, which may shrink
			set(g.dir, "cpu.max", fmt.Sprintf("%d %d", q, period)),
			setIfPresent(g.dir, "cpu.max.burst", strconv.FormatInt(q, 10)),
			set(g.dir, "cpu.weight", strconv.Itoa(min(10_000, max(1, l.milliCPU/10)))))
	}
	if was.pids != l.pids {
		errs = append(errs, set(g.dir, "pids.max", strconv.Itoa(l.pids)))
	}
	return errors.Join(errs...)
}

func (g *cgroup2) join(_ *script, p *process) (release func(), err error) {
	fd, err := unix.Open(g.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("join cgroup %s: %w", g.dir, err)
	}
	p.cgroup = uint64(fd)
	return func() { _ = unix.Close(fd) }, nil
}

func (g *cgroup2) adopt(pid int) error { return set(g.dir, "cgroup.procs", strconv.Itoa(pid)) }

func (g *cgroup2) usage() (sandbox.Usage, error) {
	cpu, err1 := g.cpu()
	memory, err2 := g.meter.number(g.dir, "memory.current")
	peak, err3 := g.meter.number(g.dir, "memory.peak")
	if errors.Is(err3, fs.ErrNotExist) { // before kernel 5.19
		peak, err3 = memory, nil
	}
	kills, err4 := g.meter.field(g.dir, "memory.events", "oom_kill")
	pids, err5 := g.meter.number(g.dir, "pids.current")
	return sandbox.Usage{
		CPU:         cpu,
		MemoryBytes: memory, PeakMemoryBytes: peak, OOMKills: int(kills), PIDs: int(pids),
	}, errors.Join(err1, err2, err3, err4, err5)
}

func (g *cgroup2) cpu() (time.Duration, error) {
	n, err := g.meter.field(g.dir, "cpu.stat", "usage_usec")
	return time.Duration(n) * time.Microsecond, err
}

func (g *cgroup2) remove(ctx context.Context) error {
	g.meter.close()
	// Kernels before 5.14 lack cgroup.kill; removeGroup kills one by one anyway.
	_ = set(g.dir, "cgroup.kill", "1")
	return removeGroup(ctx, g.dir)
}
