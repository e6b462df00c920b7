package linux

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// newCopyProc watches a process that was forked by another in a sandbox, which
// waits for it only when free is called: until then its status can be read.
func newCopyProc(ctx context.Context, pid int, free func()) (*proc, error) {
	p, err := watch(pid)
	if err != nil {
		return nil, err
	}
	p.status = p.read
	p.freed = func() {
		free()
		p.awaitReaping(ctx)
	}
	go p.wait() // end waits for it
	return p, nil
}

// A process that waits for another does so at once; it may have ended itself, and
// then the kernel takes the other.
const (
	reapTries = 200
	reapPause = 5 * time.Millisecond
)

// awaitReaping waits until nothing is left of the process, but not for ever for
// somebody who does not do what was asked.
func (p *proc) awaitReaping(ctx context.Context) {
	for range reapTries {
		if err := unix.PidfdSendSignal(p.fd, 0, nil, 0); errors.Is(err, unix.ESRCH) {
			return
		}
		if pause(ctx, reapPause) != nil {
			return
		}
	}
}

// read is the status of a process that is not a child of ours.
func (p *proc) read() (status unix.WaitStatus, ok bool) {
	poll := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 0); n == 0 || err != nil {
		return 0, false
	}
	return zombieStatus(p.pid), true
}

// zombieStatus reads the status of a process that has ended and that nobody has
// waited for. If somebody has, the process was killed: with the sandbox that it
// was forked in, whose processes nobody is left to wait for.
func zombieStatus(pid int) unix.WaitStatus {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err == nil {
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		const state, exitCode = 0, 49 // fields 3 and 52
		if len(fields) > exitCode && fields[state][0] == 'Z' {
			if n, err := strconv.Atoi(string(fields[exitCode])); err == nil {
				return unix.WaitStatus(n)
			}
		}
	}
	return unix.WaitStatus(unix.SIGKILL)
}
