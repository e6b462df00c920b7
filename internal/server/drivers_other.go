//go:build !linux

package server

import (
	"context"

	"mayfly.dev/mayfly/internal/sandbox"
)

func platformDrivers() map[string]func(context.Context, *node) (sandbox.Driver, error) {
	return map[string]func(context.Context, *node) (sandbox.Driver, error){}
}
