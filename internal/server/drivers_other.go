//go:build !linux

package server

import "mayfly.dev/mayfly/internal/sandbox"

func platformDrivers() map[string]func(*node) (sandbox.Driver, error) {
	return map[string]func(*node) (sandbox.Driver, error){}
}
