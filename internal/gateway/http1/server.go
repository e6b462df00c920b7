package http1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Server serves connections of one or more listeners.
type Server struct {
	cfg  Config
	date clock

	running sync.WaitGroup // the connections' goroutines
	closing atomic.Bool    // Shutdown or Close was called
	stopped chan struct{}  // closed with closing
	turned  chan struct{}  // has a value for each connection that is being turned away

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	drained   chan struct{} // closed when closing and no connection is left
}

// New returns a server.
func New(cfg Config) *Server {
	return &Server{
		cfg:       cfg.withDefaults(),
		stopped:   make(chan struct{}),
		turned:    make(chan struct{}, maxTurned),
		listeners: map[net.Listener]struct{}{},
		conns:     map[*conn]struct{}{},
		drained:   make(chan struct{}),
	}
}

// Serve accepts connections of l until the server is shut down or closed, and
// returns ErrClosed then, else why it can't go on. It closes l.
func (s *Server) Serve(l net.Listener) error {
	defer func() { _ = l.Close() }()
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		return ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer s.forget(l)
	for pause := time.Duration(0); ; {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.take(nc)
		case s.closing.Load():
			return ErrClosed
		case !passing(err):
			return err
		default:
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.cfg.Log.Warn("a connection could not be accepted", "err", err)
			s.pause(pause)
		}
	}
}

// passing reports whether accepting may work again in a moment: a client was
// quick to leave, or files are short.
func passing(err error) bool {
	for _, e := range []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.stopped:
	}
}

func (s *Server) forget(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// take starts to serve a connection, or turns it away.
func (s *Server) take(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	closing, full := s.closing.Load(), len(s.conns) >= s.cfg.MaxConnections
	if !closing && !full {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	switch {
	case closing:
		_ = nc.Close()
	case full:
		s.turnAway(c)
	default:
		s.running.Go(func() {
			defer s.leave(c)
			c.serve()
		})
	}
}

// turnAway says no to a connection beyond the limit, or just closes it when there
// is a rush of them.
func (s *Server) turnAway(c *conn) {
	select {
	case s.turned <- struct{}{}:
		s.running.Go(func() {
			defer func() { <-s.turned }()
			defer c.end()
			c.turnAway()
		})
	default:
		_ = c.nc.Close()
	}
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.checkDrained()
}

// checkDrained is called with mu held.
func (s *Server) checkDrained() {
	if !s.closing.Load() || len(s.conns) > 0 {
		return
	}
	select {
	case <-s.drained:
	default:
		close(s.drained)
	}
}

// Connections counts the open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown stops to listen, closes the idle connections and waits until the
// others have their answers, or until ctx is done: then it returns its cause, and
// Close cuts off the rest.
func (s *Server) Shutdown(ctx context.Context) error {
	s.end(func(c *conn) { c.closeIdle() })
	select {
	case <-s.drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d connections still wait for an answer: %w", s.Connections(), context.Cause(ctx))
	}
}

// Close stops to listen and closes all connections. Handlers under way see their
// context end; Wait waits for them.
func (s *Server) Close() {
	s.end(func(c *conn) { c.abort(ErrClosed) })
}

// Wait returns when the last handler has, after Close or Shutdown.
func (s *Server) Wait() { s.running.Wait() }

func (s *Server) end(each func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing.Swap(true) {
		close(s.stopped)
	}
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		each(c)
	}
	s.checkDrained()
}
