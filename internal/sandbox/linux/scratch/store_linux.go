package scratch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

const (
	// readySize is the size of the disks that are kept ready, and readyDisks how
	// many.
	readySize  = 512 << 20
	readyDisks = 8
	// refillDelay is about how long a sandbox takes to start.
	refillDelay = 5 * time.Millisecond
	// retryAfter is how long the making of ready disks pauses after a failure.
	retryAfter  = 5 * time.Second
	formatLimit = 30 * time.Second
)

// Config says where disks live.
type Config struct {
	// Dir is a directory of the store's own, made if missing.
	Dir string
	Log *slog.Logger
}

// Store makes disks.
type Store struct {
	cfg    Config
	log    *slog.Logger
	mkfs   string
	ready  chan *Disk
	cancel context.CancelFunc
	done   chan struct{}

	mu        sync.Mutex // held while a template is formatted
	templates map[int64]string
}

// Open returns a store, or an Unsupported fault if this machine or this user
// can't have such disks: it makes one to know.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	mkfs, err := findMkfs()
	if err != nil {
		return nil, err
	}
	// Templates of an earlier run may be half written.
	if err := os.RemoveAll(cfg.Dir); err != nil {
		return nil, fmt.Errorf("clear scratch disks: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of scratch disks: %w", err)
	}
	s := &Store{
		cfg: cfg, log: cfg.Log, mkfs: mkfs, ready: make(chan *Disk, readyDisks),
		done: make(chan struct{}), templates: map[int64]string{},
	}
	first, err := s.create(ctx, readySize)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unsupported, "ScratchDisk", "this machine can't mount disk images on loop devices: %v", err)
	}
	s.ready <- first
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go s.refill(ctx)
	return s, nil
}

func findMkfs() (string, error) {
	for _, path := range []string{"/usr/sbin/mke2fs", "/sbin/mke2fs"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("mke2fs")
	if err != nil {
		return "", fault.Wrap(err, fault.Unsupported, "ScratchDisk", "mke2fs is missing: install the package e2fsprogs")
	}
	return path, nil
}

// Acquire returns an empty disk of a size in bytes.
func (s *Store) Acquire(ctx context.Context, size int64) (*Disk, error) {
	if size == readySize {
		select {
		case d := <-s.ready:
			return d, nil
		default:
		}
	}
	return s.create(ctx, size)
}

// refill keeps ready disks until ctx is done.
func (s *Store) refill(ctx context.Context) {
	defer close(s.done)
	for {
		d, err := s.create(ctx, readySize)
		if err != nil {
			s.log.WarnContext(ctx, "a scratch disk could not be made ready", "err", err)
			select {
			case <-time.After(retryAfter):
				continue
			case <-ctx.Done():
				return
			}
		}
		s.put(ctx, d)
		if ctx.Err() != nil {
			return
		}
	}
}

// put adds a disk when there is room. If one had to be taken first, it leaves the
// machine to the start that took it for a moment.
func (s *Store) put(ctx context.Context, d *Disk) {
	select {
	case s.ready <- d:
		return
	default:
	}
	select {
	case s.ready <- d:
	case <-ctx.Done():
		drop(d.mount)
		return
	}
	select {
	case <-time.After(refillDelay):
	case <-ctx.Done():
	}
}

// Close gives up the ready disks. Those that were acquired live on.
func (s *Store) Close() error {
	s.cancel()
	<-s.done
	for {
		select {
		case d := <-s.ready:
			drop(d.mount)
		default:
			return os.RemoveAll(s.cfg.Dir)
		}
	}
}

// template returns the path of a formatted image of a size.
func (s *Store) template(ctx context.Context, size int64) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path, ok := s.templates[size]; ok {
		return path, nil
	}
	path := filepath.Join(s.cfg.Dir, "template-"+strconv.FormatInt(size, 10))
	if err := s.format(ctx, path, size); err != nil {
		return "", err
	}
	s.templates[size] = path
	return path, nil
}

func (s *Store) format(ctx context.Context, path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer drop(f)
	// The file system's own tables take some of the image: it is made larger so
	// that the whole size is the function's.
	if err := f.Truncate(size + size/32 + 8<<20); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, formatLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.mkfs, "-q", "-F", "-t", "ext4", "-m", "0", "-N", strconv.FormatInt(size>>15, 10),
		"-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format %s: %w: %s", path, err, out)
	}
	return nil
}
