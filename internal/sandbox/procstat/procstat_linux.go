// Package procstat reads what the kernel tells of a process, for drivers that
// look for processes of an earlier node.
package procstat

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// StartTicks returns when a process started, in the kernel's ticks since the
// machine did, as field 22 of /proc/PID/stat has it (proc(5)). With its id it
// names a process for good.
func StartTicks(pid int) (string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	// The command's name, in parentheses, may hold anything; after it come the
	// third and following fields.
	const startField = 22 - 3
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= startField {
		return "", fmt.Errorf("process %d has no start time", pid)
	}
	return string(fields[startField]), nil
}
