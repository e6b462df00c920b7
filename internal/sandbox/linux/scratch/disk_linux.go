package scratch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// loopTries bounds how often another loop device is tried because somebody took
// the one that was offered.
const loopTries = 50

// Disk is a mounted, empty file system that has no place yet.
type Disk struct {
	mount   *os.File
	claimed bool
}

// Claim is called before the disk is moved into a tree. It reports false if that
// was done before: then the disk can't be moved again.
func (d *Disk) Claim() bool {
	first := !d.claimed
	d.claimed = true
	return first
}

// FD is the mount's descriptor, for move_mount into a sandbox's tree.
func (d *Disk) FD() int { return int(d.mount.Fd()) }

// Close drops the node's hold on the disk. The disk ends as soon as no sandbox
// has it mounted.
func (d *Disk) Close() error { return d.mount.Close() }

// drop closes a file of which the kernel keeps what is needed.
func drop(f *os.File) { _ = f.Close() }

// create makes a disk. Each step's hold on the one before is the kernel's, so
// that all files but the mount can be closed at the end.
func (s *Store) create(ctx context.Context, size int64) (*Disk, error) {
	template, err := s.template(ctx, size)
	if err != nil {
		return nil, err
	}
	image, err := s.image(template)
	if err != nil {
		return nil, fmt.Errorf("copy a scratch disk: %w", err)
	}
	defer drop(image)
	loop, err := attach(ctx, image)
	if err != nil {
		return nil, fmt.Errorf("attach a scratch disk: %w", err)
	}
	defer drop(loop)
	mount, err := mountImage(loop.Name())
	if err != nil {
		return nil, fmt.Errorf("mount a scratch disk: %w", err)
	}
	return &Disk{mount: mount}, nil
}

// image returns a sparse copy of a template that has no name.
func (s *Store) image(template string) (*os.File, error) {
	from, err := os.Open(template)
	if err != nil {
		return nil, err
	}
	defer drop(from)
	info, err := from.Stat()
	if err != nil {
		return nil, err
	}
	to, err := os.CreateTemp(s.cfg.Dir, "image-")
	if err != nil {
		return nil, err
	}
	err = errors.Join(os.Remove(to.Name()), to.Truncate(info.Size()))
	if err == nil {
		err = copyData(to, from, info.Size())
	}
	if err != nil {
		return nil, errors.Join(err, to.Close())
	}
	return to, nil
}

// copyData copies what a sparse file of size bytes holds, and no holes.
func copyData(to, from *os.File, size int64) error {
	for at := int64(0); at < size; {
		start, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // nothing but a hole up to the end
		}
		if err != nil {
			return fmt.Errorf("find data: %w", err)
		}
		end, err := unix.Seek(int(from.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("find a hole: %w", err)
		}
		if _, err := io.Copy(io.NewOffsetWriter(to, start), io.NewSectionReader(from, start, end-start)); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// attach puts an image on a free loop device that frees itself with its last
// user.
func attach(ctx context.Context, image *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer drop(control)
	for range loopTries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		loop, err := openLoop(ctx, "/dev/loop"+strconv.Itoa(n))
		if err != nil {
			return nil, err
		}
		cfg := unix.LoopConfig{Fd: uint32(image.Fd())}
		// Direct: else each page would be cached twice. The kernel drops the flag
		// where the image's file system can't.
		cfg.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &cfg)
		if err == nil {
			return loop, nil
		}
		err = errors.Join(err, loop.Close())
		if !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, errors.New("other programs take every free loop device first")
}

// openLoop opens a loop device whose node the system may still be making.
func openLoop(ctx context.Context, path string) (*os.File, error) {
	for try := 0; ; try++ {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0)
		if err == nil || !errors.Is(err, os.ErrNotExist) || try == 20 {
			return f, err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// mountImage mounts a block device nowhere and empties it for its user.
func mountImage(device string) (*os.File, error) {
	fs, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen: %w", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigSetString(fs, "source", device); err != nil {
		return nil, fmt.Errorf("fsconfig source: %w", err)
	}
	for _, flag := range []string{"noatime", "discard", "nobarrier"} {
		if err := unix.FsconfigSetFlag(fs, flag); err != nil && flag == "discard" {
			return nil, fmt.Errorf("fsconfig %s: %w", flag, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("fsconfig create: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOATIME)
	if err != nil {
		return nil, fmt.Errorf("fsmount: %w", err)
	}
	mount := os.NewFile(uintptr(fd), "scratch disk")
	err = unix.Unlinkat(fd, "lost+found", unix.AT_REMOVEDIR)
	if err == nil {
		err = unix.Fchmodat(fd, ".", 0o1777, 0)
	}
	if err != nil {
		return nil, errors.Join(err, mount.Close())
	}
	return mount, nil
}
