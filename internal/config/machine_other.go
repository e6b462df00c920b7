//go:build !linux && !darwin

package config

// machineMemory stands in for the machine's memory where we don't read it: those
// machines run the none driver, for development.
func machineMemory() (int64, error) { return 8 << 30, nil }
