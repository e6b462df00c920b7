package shim

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// idleAfter is how long after the last answer a goroutine begins to look for
	// what the runtime says unasked, such as the output of background work.
	idleAfter = 5 * time.Millisecond
	// company is how many answers must come one by one, after calls were in line
	// together, before callers read for themselves again.
	company = 32
)

// reading is the duty of reading a runtime's socket. A caller who is alone takes
// it for the time of its call, and is woken by the answer itself. When calls are
// in line, or one takes longer than a moment, a goroutine of the session has the
// duty, through Go's poller; and nobody has it right after an answer.
type reading struct {
	short *shortWaits
	turn  chan struct{} // of capacity 1: the goroutine has got the duty

	mu     sync.Mutex
	taken  bool
	ending bool // read on to the end
	seen   uint32
	armed  bool // idle runs
	idle   *time.Timer

	// Whoever has the duty uses these.
	decoder decoder
	drained bool // the pipes were emptied after the last read
	broken  bool // there is nothing more to read
}

// shortWaits bounds the threads that wait in reads.
type shortWaits struct{ now atomic.Int32 }

func (w *shortWaits) take() bool {
	if w.now.Add(1) <= 4*int32(runtime.GOMAXPROCS(0)) {
		return true
	}
	w.now.Add(-1)
	return false
}

func (w *shortWaits) free() { w.now.Add(-1) }

// lead reads for c, if nobody else reads, until its answer is there or the
// session's goroutine should have the duty.
func (s *session) lead(ctx context.Context, c *call) {
	s.in.mu.Lock()
	if s.in.taken {
		s.in.mu.Unlock()
		return
	}
	s.in.taken = true
	s.in.mu.Unlock()
	if !s.crowded() && s.in.short.take() {
		for len(c.answer) == 0 && ctx.Err() == nil && s.readOnce(s.link.read) == nil {
		}
		s.in.short.free()
	}
	s.free(len(c.answer) == 0)
}

// crowded reports whether calls are, or were a moment ago, in line together.
func (s *session) crowded() bool {
	s.line.mu.Lock()
	defer s.line.mu.Unlock()
	return len(s.line.waiting) > 1 || s.line.alone < company
}

// free gives the duty back; to the session's goroutine if there is something to
// wait for.
func (s *session) free(handOver bool) {
	s.line.mu.Lock()
	handOver = handOver || len(s.line.waiting) > 0
	last := s.line.last
	s.line.mu.Unlock()
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if handOver || s.in.ending {
		s.handOver()
		return
	}
	s.in.taken = false
	if !s.in.armed {
		s.in.armed, s.in.seen = true, last
		s.in.idle.Reset(idleAfter)
	}
}

// handOver gives the duty, which is taken, to the session's goroutine. The
// caller holds in.mu.
func (s *session) handOver() {
	select {
	case s.in.turn <- struct{}{}:
	default: // it knows
	}
}

// lookIfIdle has the goroutine read if no call has come for a while.
func (s *session) lookIfIdle() {
	s.line.mu.Lock()
	last := s.line.last
	s.line.mu.Unlock()
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.in.armed = false
	switch {
	case s.in.taken:
	case s.in.seen != last:
		s.in.armed, s.in.seen = true, last
		s.in.idle.Reset(idleAfter)
	default:
		s.in.taken = true
		s.handOver()
	}
}

// takeOver has the goroutine read if nobody does.
func (s *session) takeOver() {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if !s.in.taken {
		s.in.taken = true
		s.handOver()
	}
}

// readToEnd has the goroutine read until there is nothing more.
func (s *session) readToEnd() {
	s.in.mu.Lock()
	s.in.ending = true
	s.in.mu.Unlock()
	s.takeOver()
}

// read is the session's goroutine: it ends with the socket, or with Close.
func (s *session) read() {
	for {
		select {
		case <-s.in.turn:
		case <-s.closing:
			return
		}
		for rested := false; !rested; {
			if s.in.broken {
				return
			}
			rested = s.attend()
		}
	}
}

// attend reads until nothing is waited for, and reports whether the duty was
// given back.
func (s *session) attend() bool {
	read := s.link.read
	w, err := s.link.watch()
	if err == nil {
		read = w.read
	} else { // no descriptor is to be had, or the session is closed
		s.log.Warn("a runtime is looked at every moment", "err", err)
	}
	for !s.in.broken {
		if s.readOnce(read) == nil && !s.wanted() {
			break
		}
	}
	if w != nil {
		w.close()
	}
	if s.in.broken || s.wanted() {
		return false
	}
	s.free(false)
	return true
}

// wanted reports whether the goroutine should read on.
func (s *session) wanted() bool {
	select {
	case <-s.ready:
	default:
		return true
	}
	s.in.mu.Lock()
	ending := s.in.ending
	s.in.mu.Unlock()
	return ending || s.crowded() || s.pending()
}

func (s *session) pending() bool {
	s.line.mu.Lock()
	defer s.line.mu.Unlock()
	return len(s.line.waiting) > 0
}

// readOnce handles what one read brings. A runtime that breaks the protocol is
// killed: user code wrote to a descriptor that is not its own. After an error
// other than errAgain, nothing more can be read.
func (s *session) readOnce(read func(*decoder) error) error {
	s.in.drained = false
	err := read(&s.in.decoder)
	switch {
	case err == nil, errors.Is(err, errAgain):
		return err
	case errors.Is(err, errProtocol):
		s.log.Warn("a runtime broke the shim protocol and is killed", "pid", s.process.PID(), "err", err)
		s.kill()
	default: // the end: the watcher says which
	}
	s.in.broken = true
	return err
}
