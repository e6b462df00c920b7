package shim

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// link is our end of a runtime's socket. Go's network poller does not know it:
// a thread that waits in read for the answer of a short call is woken by the
// kernel alone, which takes half the time and a third of the processor time of
// the way through the poller. Who waits for longer uses [link.watch].
//
// Methods may be called from several goroutines, reads and the watch from one
// at a time.
type link struct {
	// mu is held for reading by those who use fd, for writing to free it.
	mu sync.RWMutex
	fd int // -1: freed
}

// shortWait bounds a read of [link.read].
const shortWait = time.Millisecond

// errAgain says that nothing has come.
var errAgain = errors.New("nothing to read")

// inboxes are where reads go. A socket of Linux holds some 200 KiB.
var inboxes = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// newLink takes over fd, a blocking socket.
func newLink(fd int) (*link, error) {
	wait := unix.NsecToTimeval(shortWait.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return nil, errors.Join(os.NewSyscallError("setsockopt", err), syscall.Close(fd))
	}
	return &link{fd: fd}, nil
}

// read waits for bytes, up to shortWait, on a thread of its own, and has d handle
// them. It returns errAgain if none came, io.EOF at the end and what d says.
func (l *link) read(d *decoder) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.fd < 0 {
		return io.EOF
	}
	return receive(l.fd, d)
}

func receive(fd int, d *decoder) error {
	buf := inboxes.Get().(*[64 << 10]byte) // nothing else is in the pool
	defer inboxes.Put(buf)
	for {
		p := d.room(buf[:])
		n, err := unix.Read(fd, p)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return errAgain
		case err != nil || n == 0:
			return io.EOF // the other end is gone, or ours is shut
		}
		return d.took(p[:n])
	}
}

// write sends p as far as the socket takes it now.
func (l *link) write(p []byte) (int, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.fd < 0 {
		return 0, os.ErrClosed
	}
	for {
		n, err := unix.SendmsgN(l.fd, p, nil, nil, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		}
		return n, err
	}
}

// writeWith sends a short p, and descriptors with it, if the socket takes them
// now.
func (l *link) writeWith(p []byte, descriptors ...int) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.fd < 0 {
		return os.ErrClosed
	}
	n, err := unix.SendmsgN(l.fd, p, unix.UnixRights(descriptors...), nil, unix.MSG_DONTWAIT)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// writePatience is how often a write that waits for its runtime looks whether
// somebody still wants it.
const writePatience = 5 * time.Millisecond

// writeAll sends all of p, for as long as ctx lasts.
func (l *link) writeAll(ctx context.Context, p []byte) error {
	for {
		n, err := l.write(p)
		if p = p[n:]; err != nil || len(p) == 0 {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.awaitRoom()
	}
}

// awaitRoom waits until the socket takes more, up to writePatience.
func (l *link) awaitRoom() {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.fd >= 0 {
		// Whatever it says, the next write knows better.
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLOUT}}, int(writePatience.Milliseconds()))
	}
}

// watch is the socket as Go's poller knows it.
type watch struct {
	file *os.File
	raw  syscall.RawConn
}

// watch registers the socket with the poller. As long as it is, reads of the
// link return at once.
func (l *link) watch() (*watch, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.fd < 0 {
		return nil, os.ErrClosed
	}
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	// This is true of l.fd too, which is another name of the same socket.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	w := &watch{file: os.NewFile(uintptr(fd), "shim")}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	return w, nil
}

// read is [link.read] that waits for as long as it takes without holding a
// thread.
func (w *watch) read(d *decoder) error {
	var err error
	closed := w.raw.Read(func(fd uintptr) bool {
		err = receive(int(fd), d)
		return !errors.Is(err, errAgain)
	})
	return errors.Join(err, closed)
}

// close lets the link's reads wait again.
func (w *watch) close() {
	// A descriptor of a socket that lives on has nothing to lose by closing.
	_ = w.raw.Control(func(fd uintptr) { _ = unix.SetNonblock(int(fd), false) })
	_ = w.file.Close()
}

// shut ends the socket's directions: all who wait in it return.
func (l *link) shut(how int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.fd >= 0 {
		_ = unix.Shutdown(l.fd, how) // an error: the other end is gone
	}
}

// close frees the socket when nobody uses it any more: see shut.
func (l *link) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return nil
	}
	fd := l.fd
	l.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}
