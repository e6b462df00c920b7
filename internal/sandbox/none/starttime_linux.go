package none

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"mayfly.dev/mayfly/internal/sandbox/procstat"
)

// ticksPerSecond is the unit of times in /proc, the same on all architectures
// that Go runs on.
const ticksPerSecond = 100

// startTime returns when a process started, to the second. It asks the kernel,
// since not every machine has ps.
func startTime(_ context.Context, pid int) (time.Time, error) {
	field, err := procstat.StartTicks(pid)
	if err != nil {
		return time.Time{}, fmt.Errorf("look up process %d: %w", pid, err)
	}
	ticks, err := strconv.ParseInt(field, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the start time of process %d: %w", pid, err)
	}
	boot, err := bootTime()
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(boot+ticks/ticksPerSecond, 0), nil
}

// bootTime returns when the machine started, in seconds since 1970.
func bootTime() (int64, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the time of the machine's start: %w", err)
	}
	_, rest, _ := bytes.Cut(stat, []byte("\nbtime "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	boot, err := strconv.ParseInt(string(line), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the time of the machine's start: %w", err)
	}
	return boot, nil
}
