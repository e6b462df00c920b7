//go:build !linux

package main

import (
	"context"
	"errors"
)

func (b *bench) sandbox(context.Context) (*Table, error) {
	return nil, errors.New("there are no sandboxes to measure beside Linux: choose other sections with -only")
}

func (b *bench) metering(context.Context) (*Table, error) {
	return nil, errors.New("there are no sandboxes to read beside Linux: choose other sections with -only")
}
