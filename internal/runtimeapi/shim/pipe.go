package shim

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"mayfly.dev/mayfly/internal/runtimeapi"
)

const (
	// maxLineBytes is where a longer line is split.
	maxLineBytes = 256 << 10
	// maxDrainBytes bounds one drain: the largest pipe that an unprivileged
	// process can make, so all that was in it when the drain began.
	maxDrainBytes = 1 << 20
)

// pipe turns one of a process's output streams into lines. Its reader and the
// drains take turns under mu, and a drain ends when the pipe is empty: what was
// written before a drain began has been emitted when it returns.
type pipe struct {
	file *os.File
	raw  syscall.RawConn
	emit func(runtimeapi.Line)
	// request returns the invocation that raw output belongs to.
	request func() string
	stream  string

	mu      sync.Mutex
	buf     []byte
	partial []byte // a line whose end has not come yet
}

// newPipe returns the reading half and the file that the process writes to,
// which the caller closes once the process has it.
func newPipe(stream string, emit func(runtimeapi.Line), request func() string) (*pipe, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	raw, err := r.SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(err, r.Close(), w.Close())
	}
	return &pipe{file: r, raw: raw, emit: emit, request: request, stream: stream, buf: make([]byte, 8<<10)}, w, nil
}

// run emits lines until the pipe ends or is closed.
func (p *pipe) run() {
	for ended := false; !ended; {
		err := p.raw.Read(func(fd uintptr) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			n, err := p.read(fd)
			ended = n == 0 && !again(err)
			return n > 0 || ended
		})
		if err != nil {
			return
		}
	}
	p.flush()
}

// drain emits what the process has written so far, an unfinished line included.
func (p *pipe) drain() {
	// An error means that the pipe is closed: then there is nothing to drain.
	_ = p.raw.Control(func(fd uintptr) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for total := 0; total < maxDrainBytes; {
			n, _ := p.read(fd)
			if n <= 0 {
				return
			}
			total += n
		}
	})
	p.flush()
}

// read takes one piece from the pipe without waiting; mu is held. It returns
// the bytes taken, 0 at the end or on an error.
func (p *pipe) read(fd uintptr) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p.buf)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if n <= 0 {
			return 0, err
		}
		p.take(p.buf[:n])
		return n, nil
	}
}

func again(err error) bool { return errors.Is(err, syscall.EAGAIN) }

// take splits b into lines; mu is held.
func (p *pipe) take(b []byte) {
	for len(b) > 0 {
		line, rest, complete := bytes.Cut(b, []byte("\n"))
		if room := maxLineBytes - len(p.partial); len(line) > room {
			line, rest, complete = b[:room], b[room:], true
		}
		p.partial = append(p.partial, line...)
		if complete {
			p.line()
		}
		b = rest
	}
}

// line hands over the gathered line; mu is held.
func (p *pipe) line() {
	p.emit(runtimeapi.Line{RequestID: p.request(), Time: time.Now(), Stream: p.stream, Text: p.partial})
	p.partial = nil
}

// flush hands over an unfinished line.
func (p *pipe) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.partial) > 0 {
		p.line()
	}
}

func (p *pipe) close() error { return p.file.Close() }
