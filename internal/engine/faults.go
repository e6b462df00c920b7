package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mayfly.dev/mayfly/internal/fault"
)

// The codes by which the store says that it has no space, or has stopped for
// the lack of it.
const (
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeStorageExceeded       jetstream.ErrorCode = 10047
	codeNotEnabled            jetstream.ErrorCode = 10076
	codeNotEnabledForAccount  jetstream.ErrorCode = 10039
	codeStoreFailed           jetstream.ErrorCode = 10077
	codeWrongLastSequence     jetstream.ErrorCode = 10071
)

// fault classifies err, which came of what format and args say was tried.
func (e *Engine) fault(err error, format string, args ...any) error {
	_, classified := errors.AsType[*fault.Error](err)
	code := jetstream.ErrorCode(0)
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		code = api.ErrorCode
	}
	tried := fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	switch {
	case classified, errors.Is(err, context.Canceled):
		return tried
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fault.Wrap(tried, fault.Timeout, "EngineTimeout", "the store did not answer in time: the disk of %s may be overloaded; try again", e.dir)
	case errors.Is(err, syscall.ENOSPC), code == codeInsufficientResources, code == codeStorageExceeded:
		return diskFull(e.dir, tried)
	case code == codeNotEnabled, code == codeNotEnabledForAccount, code == codeStoreFailed, errors.Is(err, nats.ErrNoResponders):
		return fault.Wrap(tried, fault.Unavailable, "StoreStopped",
			"the store in %s has stopped after a failed write: see that its disk has space and may be written, then restart the node", e.dir)
	case errors.Is(err, nats.ErrConnectionClosed):
		return fault.Wrap(tried, fault.Unavailable, "EngineClosed", "the node is shutting down: try again on another or after its restart")
	default:
		return tried
	}
}

// startFault classifies the reason why the store in dir did not start.
func startFault(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return diskFull(dir, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fault.Wrap(err, fault.Denied, "DataDirDenied",
			"the directory %s can't be written: run as its owner, or choose another data directory", dir)
	default:
		return fault.Wrap(err, fault.Unavailable, "StoreFailed",
			"the store in %s can't be started (%v): see that its disk has space and may be written, or restore the directory from a backup", dir, err)
	}
}

func diskFull(dir string, err error) error {
	return fault.Wrap(err, fault.Unavailable, "DiskFull", "no space is left on the disk of %s: free some and try again", dir)
}

func corrupt(path string, err error) error {
	return fault.Wrap(err, fault.Unavailable, "StoreCorrupt",
		"the store in %s is damaged: restore it from a backup, or move it away to start without what it held", path)
}
