//go:build !linux

package doctor

import (
	"context"
	"runtime"
)

func isolation(context.Context) []Finding {
	return []Finding{{
		"isolation", Warn, "functions are isolated on Linux alone: on " + runtime.GOOS + " they run with the rights of the node",
		"use this machine for development, and Linux for what others can reach",
	}}
}

func freeBytes(string) (uint64, bool) { return 0, false }
