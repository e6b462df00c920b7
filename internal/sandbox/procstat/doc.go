//go:build !linux

// Package procstat is empty on systems without /proc.
package procstat
