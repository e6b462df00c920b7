package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"mayfly.dev/mayfly/internal/fault"
)

// TemporaryPrefix begins the names of directories that Unpack has not finished.
// Those that an earlier process left may be removed.
const TemporaryPrefix = ".unpack-"

// syncEach is the number of files up to which each is synced; for more it is
// faster to sync the whole file system.
const syncEach = 32

// Unpack makes dir, which must not exist, of a package. It appears whole,
// durable, or not at all. Files are 0644, or 0755 if executable, whatever the
// package and the umask say, so that a sandbox of any user can read them. The
// faults are those of [Check], AlreadyExists/"DirectoryExists" and
// Unavailable/"DiskFull".
func Unpack(ctx context.Context, data []byte, dir string, limits Limits) (Info, error) {
	c, err := open(data, limits)
	if err != nil {
		return Info{}, err
	}
	if _, err := os.Lstat(dir); err == nil {
		return Info{}, exists(dir, nil)
	}
	parent := filepath.Dir(dir)
	temporary, err := os.MkdirTemp(parent, TemporaryPrefix)
	if err != nil {
		return Info{}, fmt.Errorf("unpack to %s: %w", dir, err)
	}
	info, err := c.writeTo(ctx, temporary)
	if err == nil {
		err = publish(temporary, dir)
	}
	if err != nil {
		err = errors.Join(sized(err, limits), os.RemoveAll(temporary))
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return Info{}, diskFull(parent, err)
		}
		return Info{}, err
	}
	return info, nil
}

func exists(dir string, err error) error {
	return fault.Wrap(err, fault.AlreadyExists, "DirectoryExists", "there already is a %s", dir)
}

// publish gives the finished directory its name and syncs that.
func publish(temporary, dir string) error {
	err := os.Rename(temporary, dir)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
		return exists(dir, err)
	}
	if err != nil {
		return fmt.Errorf("unpack to %s: %w", dir, err)
	}
	return syncDir(filepath.Dir(dir))
}

// writeTo writes the package below dir and syncs it. Every path is opened
// below a root, so that a mistake of the checks could not lead outside; links
// come last, so that nothing is written through one.
func (c *contents) writeTo(ctx context.Context, dir string) (Info, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Info{}, fmt.Errorf("open %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }() // it only was read from
	if err := c.makeDirs(root); err != nil {
		return Info{}, err
	}
	each := len(c.files) <= syncEach
	left := c.tree.limits.UnzippedBytes
	for _, f := range c.files {
		if err := context.Cause(ctx); err != nil {
			return Info{}, err
		}
		n, err := f.writeTo(root, left, each)
		if err != nil {
			return Info{}, err
		}
		left -= n
	}
	for _, l := range c.links {
		if err := root.Symlink(c.tree.targets[l.path], filepath.FromSlash(l.path)); err != nil {
			return Info{}, fmt.Errorf("unpack %s: %w", l.path, err)
		}
	}
	info := c.info
	info.UnzippedBytes = c.tree.limits.UnzippedBytes - left
	return info, c.sync(dir, each)
}

func (c *contents) makeDirs(root *os.Root) error {
	if err := root.Chmod(".", 0o755); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	for _, p := range c.tree.directories() {
		p = filepath.FromSlash(p)
		if err := root.Mkdir(p, 0o755); err != nil {
			return fmt.Errorf("unpack %s: %w", p, err)
		}
		if err := root.Chmod(p, 0o755); err != nil {
			return fmt.Errorf("unpack %s: %w", p, err)
		}
	}
	return nil
}

func (e entry) writeTo(root *os.Root, limit int64, sync bool) (int64, error) {
	mode := fs.FileMode(0o644)
	if e.Mode()&0o111 != 0 {
		mode = 0o755
	}
	f, err := root.OpenFile(filepath.FromSlash(e.path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return 0, fmt.Errorf("unpack %s: %w", e.path, err)
	}
	n, err := e.copyTo(f, limit)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil && sync {
		err = f.Sync()
	}
	return n, errors.Join(err, f.Close())
}

// sync makes what was written durable before it gets its name.
func (c *contents) sync(dir string, each bool) error {
	if !each {
		return syncAll(dir)
	}
	for _, p := range c.tree.directories() {
		if err := syncDir(filepath.Join(dir, filepath.FromSlash(p))); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
