//go:build !linux

package scratch

// Store can't be made on this system.
type Store struct{}
