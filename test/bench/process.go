package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc, the same on every Linux platform
// that Go runs on.
const tick = 10 * time.Millisecond

// stat returns the fields of /proc/<pid>/stat behind the program's name: the
// state, the parent, ...
func stat(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	const known = 15
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < known {
		return nil, errors.New("/proc/<pid>/stat is cut off")
	}
	return fields, nil
}

// process is one of a tree. own is its processor time, ended that of its children
// which have ended.
type process struct {
	pid, parent int
	own, ended  time.Duration
}

// tree returns a process and all that descend from it, itself first.
func tree(root int) ([]process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]process{}
	var found []process
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		fields, err := stat(pid)
		if err != nil {
			continue // it has ended
		}
		p := process{pid: pid}
		p.parent, _ = strconv.Atoi(fields[1])
		var ticks [4]int64 // user and system, its own and its ended children's
		for i := range ticks {
			if ticks[i], err = strconv.ParseInt(fields[11+i], 10, 64); err != nil {
				return nil, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
			}
		}
		p.own, p.ended = time.Duration(ticks[0]+ticks[1])*tick, time.Duration(ticks[2]+ticks[3])*tick
		children[p.parent] = append(children[p.parent], p)
		if pid == root {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no process %d", root)
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found, nil
}

// processorTime returns what a process has used, and what it has with all that
// descend from it.
func processorTime(pid int) (own, whole time.Duration, err error) {
	all, err := tree(pid)
	if err != nil {
		return 0, 0, err
	}
	for _, p := range all {
		whole += p.own + p.ended
	}
	return all[0].own, whole, nil
}

// below returns the processes that descend from pid.
func below(pid int) ([]int, error) {
	all, err := tree(pid)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range all[1:] {
		pids = append(pids, p.pid)
	}
	slices.Sort(pids)
	return pids, nil
}

// memory is what a process takes, in bytes.
type memory struct {
	// resident counts all of its pages, proportional a share of those that others
	// have too, private only its own.
	resident, proportional, private float64
}

func memoryOf(pid int) (m memory, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kb, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return m, err
		}
		switch fields[0] {
		case "Rss:":
			m.resident += kb * 1024
		case "Pss:":
			m.proportional += kb * 1024
		case "Private_Clean:", "Private_Dirty:":
			m.private += kb * 1024
		}
	}
	return m, nil
}
