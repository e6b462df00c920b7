//go:build unix

package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
)

const (
	// writeReserve is the space that must be left before anything more is
	// stored. The embedded store turns itself off for good when a write of its
	// own meets a full disk, so that it must never come to that.
	writeReserve = 64 << 20
	// deleteReserve is the space that a deletion needs, which is how a user
	// gets out of a full disk.
	deleteReserve = 1 << 20
)

// claim makes dir, sees that it can be written and locks it against other
// processes. The lock ends with the process, however that ends.
func claim(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, startFault(dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, startFault(dir, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fault.Wrap(err, fault.Conflict, "DataDirInUse",
			"another node is running on %s: stop it, or choose another data directory", dir)
	}
	return nil, startFault(dir, fmt.Errorf("lock %s: %w", f.Name(), err))
}

// release ends the claim. The file stays: removing it would race with the next
// process that claims it.
func release(lock *os.File) error { return lock.Close() }

// room fails with Unavailable/"DiskFull" unless need bytes can be stored and
// reserve bytes are left.
func (e *Engine) room(need, reserve int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(e.dir, &st); err != nil {
		return fmt.Errorf("measure the disk of %s: %w", e.dir, err)
	}
	free := int64(st.Bavail * uint64(st.Bsize))
	if free-need < reserve {
		return diskFull(e.dir, fmt.Errorf("%d bytes are free, %d are needed and %d kept in reserve: %w", free, need, reserve, syscall.ENOSPC))
	}
	return nil
}

// diskCapacity is the size of the disk that dir is on, in bytes.
func diskCapacity(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Blocks * uint64(st.Bsize)), nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
