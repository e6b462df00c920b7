//go:build !linux

package main

import (
	"context"
	"errors"
)

// loader drives loads on Linux alone.
type loader struct{}

func newLoader(target, work) (*loader, error) {
	return nil, errors.New("loads are made on Linux alone: choose other sections with -only")
}

func (*loader) run(context.Context) (*burst, error) { return nil, errors.ErrUnsupported }
