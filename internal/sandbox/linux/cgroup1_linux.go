package linux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox"
)

// v1Controllers are the controllers that we use; they may share mounts.
var v1Controllers = []string{"memory", "cpu", "cpuacct", "pids", "freezer"}

// cgroups1 is cgroup version 1: one hierarchy per controller, or some for
// several.
type cgroups1 struct {
	// parents are the directories of our parent group, by controller.
	parents map[string]string
	names   *groupNames

	mu    sync.Mutex
	dummy string // a frozen group, from the first freeze on; guarded by mu
}

var _ cgroups = (*cgroups1)(nil)

// newV1 returns nil if no controller of version 1 is mounted.
func newV1(mounts map[string]string, nodeID string) *cgroups1 {
	c := &cgroups1{parents: make(map[string]string), names: newGroupNames()}
	for _, name := range v1Controllers {
		if point, ok := mounts[name]; ok {
			c.parents[name] = filepath.Join(point, groupPrefix+nodeID)
		}
	}
	if len(c.parents) == 0 {
		return nil
	}
	return c
}

func (c *cgroups1) gaps() []sandbox.Gap {
	effects := map[string]string{
		"memory":  "The memory of a sandbox is not limited or measured.",
		"cpu":     "The processor share of a sandbox is not limited.",
		"pids":    "Processes are limited per user id instead of per sandbox.",
		"freezer": "Idle sandboxes can't be frozen: what runs in one between calls takes processor time.",
	}
	var gaps []sandbox.Gap
	for _, name := range v1Controllers {
		if what, ok := effects[name]; ok && c.parents[name] == "" {
			gaps = append(gaps, sandbox.Gap{
				What: what,
				Why:  "The " + name + " controller of cgroup version 1 is not mounted.",
				Fix:  "Mount it below /sys/fs/cgroup, or start the machine with cgroup version 2.",
			})
		}
	}
	return gaps
}

func (c *cgroups1) create() (cgroup, error) {
	id := c.names.next()
	g := &cgroup1{dirs: make(map[string]string)}
	for name, parent := range c.parents {
		dir := filepath.Join(parent, id)
		if !slices.Contains(g.distinct, dir) {
			if err := makeGroup(dir); err != nil {
				return nil, errors.Join(err, g.discard())
			}
			g.distinct = append(g.distinct, dir)
		}
		g.dirs[name] = dir
	}
	if dir, ok := g.dirs["freezer"]; ok {
		state := filepath.Join(dir, freezerState)
		g.freeze = &freezer{
			file: state, stop: []byte(frozen1), wake: []byte(thawed1), state: state, settled: []byte(frozen1),
			prepare: c.freezeDummy,
		}
	}
	return g, nil
}

const (
	freezerState     = "freezer.state"
	frozen1, thawed1 = "FROZEN", "THAWED"
)

// freezeDummy keeps one empty group frozen. The kernel patches its own code when
// the first group freezes and when the last one thaws, which takes more than a
// millisecond each; in between both take 40 µs.
func (c *cgroups1) freezeDummy() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dummy != "" {
		return nil
	}
	dir := filepath.Join(c.parents["freezer"], c.names.next())
	if err := makeGroup(dir); err != nil {
		return err
	}
	if err := set(dir, freezerState, frozen1); err != nil {
		return errors.Join(err, unix.Rmdir(dir))
	}
	c.dummy = dir
	return nil
}

// makeGroup makes a group and, the first time, its parent.
func makeGroup(dir string) error {
	err := os.Mkdir(dir, groupMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(filepath.Dir(dir), groupMode); err == nil || errors.Is(err, fs.ErrExist) {
			err = os.Mkdir(dir, groupMode)
		}
	}
	if err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	return nil
}

func (c *cgroups1) sweep(ctx context.Context) error {
	var errs []error
	if parent, ok := c.parents["freezer"]; ok {
		// What is frozen can't be killed.
		errs = append(errs, thawGroups(parent, c.names))
	}
	for _, parent := range c.distinct() {
		errs = append(errs, sweepGroups(ctx, parent, c.names))
	}
	return errors.Join(errs...)
}

// thawGroups thaws the groups below parent that names did not make.
func thawGroups(parent string, names *groupNames) error {
	return eachLeftover(parent, names, func(dir string) error {
		// Another hierarchy's removal may have taken the last process meanwhile.
		if err := set(dir, freezerState, thawed1); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func (c *cgroups1) close() error {
	var errs []error
	if c.dummy != "" {
		errs = append(errs, unix.Rmdir(c.dummy))
	}
	for _, parent := range c.distinct() {
		if err := unix.Rmdir(parent); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("remove cgroup %s: %w", parent, err))
		}
	}
	return errors.Join(errs...)
}

func (c *cgroups1) distinct() []string {
	var dirs []string
	for _, dir := range c.parents {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

type cgroup1 struct {
	dirs     map[string]string // by controller
	distinct []string
	meter    meter
	freeze   *freezer // nil: there is no such controller
}

func (g *cgroup1) freezer() *freezer { return g.freeze }

func (g *cgroup1) reclaim() error {
	dir, ok := g.dirs["memory"]
	if !ok {
		return nil
	}
	if size, err := reclaimable(dir, "cache", "rss"); err != nil || size < minReclaim {
		return err
	}
	return setIfPresent(dir, "memory.force_empty", "0")
}

func (g *cgroup1) limit(was, l limits) error {
	if dir, ok := g.dirs["memory"]; ok && was.memoryBytes != l.memoryBytes {
		if err := limitMemory1(dir, l.memoryBytes); err != nil {
			return err
		}
	}
	if dir, ok := g.dirs["cpu"]; ok && was.milliCPU != l.milliCPU {
		if err := limitCPU1(dir, was.milliCPU, l.milliCPU); err != nil {
			return err
		}
	}
	if dir, ok := g.dirs["pids"]; ok && was.pids != l.pids {
		return set(dir, "pids.max", strconv.Itoa(l.pids))
	}
	return nil
}

// limitMemory1 sets the limit of memory, and that of memory and swap together to
// the same, where the kernel accounts swap. The latter must never be lower, so
// the order depends on whether the limit grows.
func limitMemory1(dir string, limitBytes int64) error {
	v := strconv.FormatInt(limitBytes, 10)
	const memory, both = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
	switch now, err := number(dir, both); {
	case errors.Is(err, fs.ErrNotExist):
		return set(dir, memory, v)
	case err == nil && now < limitBytes:
		return errors.Join(set(dir, both, v), set(dir, memory, v))
	default:
		return errors.Join(set(dir, memory, v), set(dir, both, v))
	}
}

// limitCPU1 sets the processor share; was is the one before, or 0 for unknown.
func limitCPU1(dir string, was, milliCPU int) error {
	q, period := quota(milliCPU)
	oldQuota, oldPeriod := quota(was)
	value := strconv.FormatInt(q, 10)
	var err error
	switch {
	case was == 0 || period != oldPeriod:
		// Without a quota first: the kernel refuses a burst above the quota and, under
		// a parent with a quota, a ratio above the parent's in between.
		err = errors.Join(setIfPresent(dir, "cpu.cfs_burst_us", "0"), set(dir, "cpu.cfs_quota_us", "-1"),
			set(dir, "cpu.cfs_period_us", strconv.FormatInt(period, 10)),
			set(dir, "cpu.cfs_quota_us", value), setIfPresent(dir, "cpu.cfs_burst_us", value))
	case q < oldQuota:
		err = errors.Join(setIfPresent(dir, "cpu.cfs_burst_us", value), set(dir, "cpu.cfs_quota_us", value))
	case q > oldQuota:
		err = errors.Join(set(dir, "cpu.cfs_quota_us", value), setIfPresent(dir, "cpu.cfs_burst_us", value))
	}
	if err != nil {
		return err
	}
	return set(dir, "cpu.shares", strconv.Itoa(max(2, milliCPU*1024/1000)))
}

func (g *cgroup1) join(s *script, _ *process) (release func(), err error) {
	var open []*os.File
	release = func() {
		for _, f := range open {
			_ = f.Close()
		}
	}
	self := s.refs.cstring("0")
	for _, dir := range g.distinct {
		// The process is one thread and moves itself as one: moving what
		// cgroup.procs takes, a whole process, makes the kernel wait for all
		// processors, for 10 ms and more on an idle machine.
		f, err := os.OpenFile(filepath.Join(dir, "tasks"), os.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			release()
			return nil, fmt.Errorf("join cgroup: %w", err)
		}
		open = append(open, f)
		s.on("join cgroup", dir, unix.SYS_WRITE, f.Fd(), self, 1)
	}
	return release, nil
}

func (g *cgroup1) adopt(pid int) error {
	for _, dir := range g.distinct {
		if err := set(dir, "tasks", strconv.Itoa(pid)); err != nil { // not cgroup.procs: see join
			return err
		}
	}
	return nil
}

func (g *cgroup1) usage() (u sandbox.Usage, err error) {
	if u.CPU, err = g.cpu(); err != nil {
		return u, err
	}
	if dir, ok := g.dirs["memory"]; ok {
		if u.MemoryBytes, err = g.meter.number(dir, "memory.usage_in_bytes"); err != nil {
			return u, err
		}
		if u.PeakMemoryBytes, err = g.meter.number(dir, "memory.max_usage_in_bytes"); err != nil {
			return u, err
		}
		kills, err := g.meter.field(dir, "memory.oom_control", "oom_kill")
		if err != nil {
			return u, err
		}
		u.OOMKills = int(kills)
	}
	if dir, ok := g.dirs["pids"]; ok {
		n, err := g.meter.number(dir, "pids.current")
		u.PIDs = int(n)
		return u, err
	}
	return u, nil
}

func (g *cgroup1) cpu() (time.Duration, error) {
	dir, ok := g.dirs["cpuacct"]
	if !ok {
		return 0, nil
	}
	n, err := g.meter.number(dir, "cpuacct.usage")
	return time.Duration(n), err
}

// discard removes the groups that were made, before anything has run in them.
func (g *cgroup1) discard() error {
	var errs []error
	for _, dir := range g.distinct {
		errs = append(errs, unix.Rmdir(dir))
	}
	return errors.Join(errs...)
}

func (g *cgroup1) remove(ctx context.Context) error {
	g.meter.close()
	var errs []error
	for _, dir := range g.distinct {
		errs = append(errs, removeGroup(ctx, dir))
	}
	return errors.Join(errs...)
}
