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
	const known = 13
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < known {
		return nil, errors.New("/proc/<pid>/stat is cut off")
	}
	return fields, nil
}

// processorTime returns what a process has used.
func processorTime(pid int) (time.Duration, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, err
}

// children returns the processes whose parent is pid.
func children(pid int) ([]int, error) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, dir := range all {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if fields, err := stat(child); err == nil && fields[1] == strconv.Itoa(pid) {
			found = append(found, child)
		}
	}
	slices.Sort(found)
	return found, nil
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
