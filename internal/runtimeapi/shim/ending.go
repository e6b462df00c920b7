package shim

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

// fatalGrace is how long a runtime that announced its end may take over it
// before it is killed.
const fatalGrace = time.Second

// ended says why nothing more can come: done is closed.
func (s *session) ended() error {
	select {
	case <-s.ready: // an init error is followed by the runtime's end
		if s.readyErr != nil {
			return s.readyErr
		}
	default:
	}
	select {
	case <-s.process.Done():
		return &runtimeapi.ExitError{Exit: s.process.Exit()}
	default:
		return fault.New(fault.Unavailable, "SessionClosed", "the execution environment is being taken down; try again")
	}
}

// awaitEnd waits for the end of a runtime that announced it, so that nobody
// hands the environment another invocation.
func (s *session) awaitEnd() {
	if !s.exited(fatalGrace) {
		s.kill()
	}
	<-s.done
}

func (s *session) kill() {
	if err := s.process.Signal(syscall.SIGKILL); err != nil {
		s.log.Warn("a runtime could not be killed", "pid", s.process.PID(), "err", err)
	}
}

// watch waits for the process's end, takes what it left behind and reports the
// end; frames is closed when the reader of frames has returned.
func (s *session) watch(frames <-chan struct{}) {
	defer close(s.done)
	defer s.line.stop()
	if !s.awaitExit(frames) {
		return
	}
	// A child that holds the socket would keep the reader waiting: what is queued
	// is still read after this, then comes the end.
	s.link.shut(unix.SHUT_RD)
	s.readToEnd()
	<-frames
	s.out.Drain()
}

// awaitExit reports whether the process ended before Close was called. A process
// that closes its socket and lives on is killed: it can't be spoken to.
func (s *session) awaitExit(frames <-chan struct{}) bool {
	select {
	case <-s.process.Done():
		return true
	case <-s.closing:
		return false
	case <-frames:
	}
	if !s.exited(fatalGrace) {
		s.kill()
	}
	select {
	case <-s.process.Done():
		return true
	case <-s.closing:
		return false
	}
}

// exited reports whether the process ended within d, or Close was called.
func (s *session) exited(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.process.Done():
		return true
	case <-s.closing:
		return true
	case <-timer.C:
		return false
	}
}
