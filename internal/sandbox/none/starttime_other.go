//go:build unix && !linux

package none

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// startTime returns when a process started, to the second.
func startTime(ctx context.Context, pid int) (time.Time, error) {
	cmd := exec.CommandContext(ctx, "ps", "-o", "lstart=", "-p", strconv.Itoa(pid))
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return time.Time{}, fmt.Errorf("look up process %d: %w", pid, err)
	}
	return time.ParseInLocation(time.ANSIC, strings.TrimSpace(string(out)), time.Local)
}
