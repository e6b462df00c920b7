package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox"
)

// freezer stops and wakes all that is in a cgroup. It is safe for concurrent
// use.
type freezer struct {
	// file takes the words stop and wake.
	file       string
	stop, wake []byte
	// state is the file that holds settled when nothing runs any more.
	state   string
	settled []byte
	// prepare is called before each stop.
	prepare func() error

	mu     sync.Mutex
	fd     int // of file, once it was opened: waking is on the path of a call
	open   bool
	frozen bool
	closed bool
}

// freeze begins to stop what is in the group.
func (f *freezer) freeze() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return sandbox.ErrDestroyed
	}
	if f.frozen {
		return nil
	}
	if err := f.prepare(); err != nil {
		return err
	}
	if !f.open {
		fd, err := unix.Open(f.file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", f.file, err)
		}
		f.fd, f.open = fd, true
	}
	if err := f.write(f.stop); err != nil {
		return err
	}
	f.frozen = true
	return nil
}

// await waits until all that was to be stopped is, or is woken again. After an
// error it is awake.
func (f *freezer) await(ctx context.Context) error {
	for try := 1; f.isFrozen(); try++ {
		state, err := os.ReadFile(f.state)
		if err == nil && bytes.Contains(state, f.settled) {
			return nil
		}
		if err == nil {
			err = f.insist(ctx, try)
		}
		if err != nil && f.isFrozen() {
			return errors.Join(fmt.Errorf("freeze %s: %w", f.file, err), f.thaw())
		}
	}
	return nil
}

// What is forked while version 1 stops a group may escape that and go on, and the
// group never settles. Being told again helps, and now and then to be woken
// before: what the processes do then that were caught in between is another
// chance.
const (
	settlePause = 200 * time.Microsecond
	wakeEvery   = 50
)

// insist waits a moment, after which it stops the group once more.
func (f *freezer) insist(ctx context.Context, try int) error {
	if try%wakeEvery == 0 {
		if err := f.repeat(f.wake); err != nil {
			return err
		}
	}
	if err := pause(ctx, settlePause); err != nil {
		return err
	}
	return f.repeat(f.stop)
}

// repeat writes a word unless the group was woken meanwhile.
func (f *freezer) repeat(word []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.frozen {
		return nil
	}
	return f.write(word)
}

func (f *freezer) isFrozen() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.frozen
}

// thaw wakes what was stopped.
func (f *freezer) thaw() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return sandbox.ErrDestroyed
	}
	return f.wakeUp()
}

func (f *freezer) wakeUp() error {
	if !f.frozen {
		return nil
	}
	if err := f.write(f.wake); err != nil {
		return err
	}
	f.frozen = false
	return nil
}

func (f *freezer) write(word []byte) error {
	for {
		switch _, err := unix.Pwrite(f.fd, word, 0); err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("write %s: %w", f.file, err)
		}
	}
}

// close wakes what was stopped: in version 1 a process that is frozen can't be
// killed. Nothing is stopped any more. It may be called again after an error.
func (f *freezer) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if err := f.wakeUp(); err != nil {
		return err
	}
	if f.open {
		_ = unix.Close(f.fd) // each write has told its own error
		f.open = false
	}
	return nil
}
