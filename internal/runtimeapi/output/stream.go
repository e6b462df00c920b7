package output

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
	// maxLine bounds a line; a longer one is handed over in parts.
	maxLine = 256 << 10
	// maxPipe is how much a process may have written before its answer without
	// our having read it: the most that Linux lets an unprivileged process
	// enlarge a pipe to.
	maxPipe = 1 << 20
)

// stream is one pipe. Its reader and the drains take turns under mu, and a drain
// ends when the pipe is empty: what was written before a drain began has been
// emitted when it returns.
type stream struct {
	name string
	cfg  *Config
	r, w *os.File // w is nil after Begin
	raw  syscall.RawConn
	fd   int32 // of r

	mu sync.Mutex
	// partial is the beginning of a line whose end has not come yet; buf is
	// where reads go.
	partial []byte
	buf     []byte
}

func newStream(name string, cfg *Config) (*stream, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the pipe for %s: %w", name, err)
	}
	s := &stream{name: name, cfg: cfg, r: r, w: w, buf: make([]byte, 8<<10)}
	if s.raw, err = r.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the pipe for %s: %w", name, err), s.close())
	}
	if err := s.raw.Control(func(fd uintptr) { s.fd = int32(fd) }); err != nil {
		return nil, errors.Join(fmt.Errorf("read the pipe for %s: %w", name, err), s.close())
	}
	// A script's "> /dev/stderr" opens the pipe anew, under the sandbox's uid.
	if err := w.Chmod(0o622); err != nil {
		return nil, errors.Join(fmt.Errorf("open the pipe for %s to the sandbox: %w", name, err), s.close())
	}
	// Programs don't expect EAGAIN from their standard output.
	if err := syscall.SetNonblock(int(w.Fd()), false); err != nil {
		return nil, errors.Join(fmt.Errorf("make the pipe for %s blocking: %w", name, err), s.close())
	}
	return s, nil
}

// run reads until the last writer has closed the pipe or the stream is closed.
func (s *stream) run() {
	for open := true; open; {
		err := s.raw.Read(func(fd uintptr) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			n, eof := s.readOnce(fd)
			open = !eof
			return n > 0 || eof
		})
		if err != nil {
			break
		}
	}
	s.flush()
}

// drain hands over what is in the pipe, if something is, and what the reader has
// taken out of it, a last line without its end included.
func (s *stream) drain(some bool) {
	if some {
		s.empty()
	}
	s.flush()
}

func (s *stream) empty() {
	// Control does not wait for the reader, which sits in Read; the error says
	// that the pipe is closed, and then nothing is left.
	_ = s.raw.Control(func(fd uintptr) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for total := 0; total < maxPipe; {
			n, eof := s.readOnce(fd)
			if n <= 0 || eof {
				break
			}
			total += n
		}
	})
}

// readOnce reads what is there and emits its whole lines. n is zero when
// nothing is there. The caller holds mu.
func (s *stream) readOnce(fd uintptr) (n int, eof bool) {
	for {
		n, err := syscall.Read(int(fd), s.buf)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, false
		case err != nil || n == 0:
			return 0, true
		}
		s.split(s.buf[:n])
		return n, false
	}
}

// split takes p apart into lines. The caller holds mu.
func (s *stream) split(p []byte) {
	now := time.Now()
	for len(p) > 0 {
		line, rest, whole := bytes.Cut(p, []byte{'\n'})
		if room := maxLine - len(s.partial); len(line) > room {
			line, rest, whole = p[:room], p[room:], true
		}
		s.partial = append(s.partial, line...)
		p = rest
		if whole {
			s.emitPartial(now)
		}
	}
}

func (s *stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.partial) > 0 {
		s.emitPartial(time.Now())
	}
}

// emitPartial hands over the gathered line, which the receiver may keep. The
// caller holds mu.
func (s *stream) emitPartial(now time.Time) {
	text := s.partial
	s.partial = nil
	s.cfg.Emit(runtimeapi.Line{RequestID: s.cfg.Request(), Time: now, Stream: s.name, Text: text})
}

func (s *stream) closeWriter() {
	if s.w != nil {
		// A descriptor of a pipe has nothing to lose by closing.
		_ = s.w.Close()
		s.w = nil
	}
}

func (s *stream) close() error {
	s.closeWriter()
	return s.r.Close()
}
