package lambda

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"mayfly.dev/mayfly/internal/runtimeapi"
)

const (
	// maxLine bounds a line of output; a longer one is handed out in parts.
	maxLine = 256 << 10
	// maxPipe is how much a process may have written before its answer without
	// our having read it: the most that Linux lets an unprivileged process
	// enlarge a pipe to.
	maxPipe = 1 << 20
)

// output is what the runtime's process prints.
type output struct {
	stdout, stderr *outlet
}

func newOutput(emit func(runtimeapi.Line)) (*output, error) {
	stdout, err := newOutlet("stdout", emit)
	if err != nil {
		return nil, err
	}
	stderr, err := newOutlet("stderr", emit)
	if err != nil {
		return nil, errors.Join(err, stdout.close())
	}
	return &output{stdout: stdout, stderr: stderr}, nil
}

// started gives up the process's ends, which it has inherited by now.
func (o *output) started() {
	o.stdout.closeWriter()
	o.stderr.closeWriter()
}

// drain hands out all that was written before the call.
func (o *output) drain() {
	o.stdout.drain()
	o.stderr.drain()
}

func (o *output) close() error { return errors.Join(o.stdout.close(), o.stderr.close()) }

// outlet is one output stream: a pipe, read whenever something arrives and
// whenever somebody must know that nothing is left.
type outlet struct {
	stream string
	emit   func(runtimeapi.Line)
	r, w   *os.File
	raw    syscall.RawConn

	mu sync.Mutex
	// partial is the beginning of a line whose end has not come yet; buf is
	// where reads go.
	partial []byte
	buf     []byte
}

func newOutlet(stream string, emit func(runtimeapi.Line)) (*outlet, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the pipe for %s: %w", stream, err)
	}
	o := &outlet{stream: stream, emit: emit, r: r, w: w, buf: make([]byte, 8<<10)}
	if o.raw, err = r.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the pipe for %s: %w", stream, err), o.close())
	}
	// A script's "> /dev/stderr" opens the pipe anew, under the sandbox's uid.
	if err := w.Chmod(0o622); err != nil {
		return nil, errors.Join(fmt.Errorf("open the pipe for %s to the sandbox: %w", stream, err), o.close())
	}
	// Programs don't expect EAGAIN from their standard output.
	if err := syscall.SetNonblock(int(w.Fd()), false); err != nil {
		return nil, errors.Join(fmt.Errorf("make the pipe for %s blocking: %w", stream, err), o.close())
	}
	return o, nil
}

// run reads until the last writer has closed the pipe or the outlet is closed.
func (o *outlet) run() {
	for open := true; open; {
		err := o.raw.Read(func(fd uintptr) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			n, eof := o.readOnce(fd)
			open = !eof
			return n > 0 || eof
		})
		if err != nil {
			break
		}
	}
	o.flush()
}

// drain hands out what is in the pipe, a last line without its end included.
// When it returns, all that was written before it was called has been emitted.
func (o *outlet) drain() {
	// Control does not wait for the reader, which sits in Read; the error says
	// that the pipe is closed, and then nothing is left.
	_ = o.raw.Control(func(fd uintptr) {
		o.mu.Lock()
		defer o.mu.Unlock()
		for total := 0; total < maxPipe; {
			n, eof := o.readOnce(fd)
			if n <= 0 || eof {
				break
			}
			total += n
		}
	})
	o.flush()
}

// readOnce reads what is there and emits its whole lines. n is zero when
// nothing is there. The caller holds mu.
func (o *outlet) readOnce(fd uintptr) (n int, eof bool) {
	for {
		n, err := syscall.Read(int(fd), o.buf)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, false
		case err != nil || n == 0:
			return 0, true
		}
		o.split(o.buf[:n])
		return n, false
	}
}

func (o *outlet) split(p []byte) {
	now := time.Now()
	for len(p) > 0 {
		line, rest, whole := bytes.Cut(p, []byte{'\n'})
		if room := maxLine - len(o.partial); len(line) > room {
			line, rest, whole = p[:room], p[room:], true
		}
		o.partial = append(o.partial, line...)
		p = rest
		if whole {
			o.emitPartial(now)
		}
	}
}

func (o *outlet) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.partial) > 0 {
		o.emitPartial(time.Now())
	}
}

// emitPartial hands over the gathered line, which the receiver may keep.
func (o *outlet) emitPartial(now time.Time) {
	text := o.partial
	o.partial = nil
	if o.emit != nil {
		o.emit(runtimeapi.Line{Time: now, Stream: o.stream, Text: text})
	}
}

func (o *outlet) closeWriter() {
	if o.w != nil {
		// A descriptor of a pipe has nothing to lose by closing.
		_ = o.w.Close()
		o.w = nil
	}
}

func (o *outlet) close() error {
	o.closeWriter()
	return o.r.Close()
}
