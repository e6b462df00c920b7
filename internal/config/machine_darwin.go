package config

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// machineMemory returns the bytes of memory of this machine.
func machineMemory() (int64, error) {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0, fmt.Errorf("sysctl hw.memsize: %w", err)
	}
	return int64(n), nil
}
