package lambda

import (
	"bufio"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxConns bounds a runtime's connections. More are closed at once, which a
	// client understands better than silence.
	maxConns = 64
	// acceptPause spaces the attempts while the node has no descriptor left.
	acceptPause = 50 * time.Millisecond
)

// server accepts a session's connections and ends them with it.
type server struct {
	ln      net.Listener
	session *session
	readers *sync.Pool
	// wg counts the accepting goroutine and one a connection.
	wg sync.WaitGroup

	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
	// empty is closed when the last connection ends; nil: nobody asked.
	empty chan struct{}
}

func newServer(ln net.Listener, readers *sync.Pool, s *session) *server {
	srv := &server{ln: ln, session: s, readers: readers, conns: make(map[*conn]struct{})}
	srv.wg.Go(srv.accept)
	return srv
}

func (s *server) accept() {
	for {
		nc, err := s.ln.Accept()
		switch {
		case err == nil:
			s.admit(nc)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.session.log.Debug("accept of a runtime's connection failed", "err", err)
			select {
			case <-time.After(acceptPause):
			case <-s.session.closed:
				return
			}
		}
	}
}

// admit serves a new connection unless there are too many.
func (s *server) admit(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= maxConns {
		_ = nc.Close() // nothing was said on it
		return
	}
	c := newConn(nc, s.session, s.readers.Get().(*bufio.Reader))
	s.conns[c] = struct{}{}
	s.wg.Go(func() {
		c.serve()
		s.release(c)
	})
}

func (s *server) release(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
	s.mu.Unlock()
	c.reader.Reset(nil)
	s.readers.Put(c.reader)
}

// drained returns a channel that is closed when no connection is left.
func (s *server) drained() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	if len(s.conns) == 0 {
		close(empty)
		s.empty = nil
	}
	return empty
}

// close ends the listener and all connections and waits for their goroutines.
func (s *server) close() error {
	err := s.ln.Close()
	if errors.Is(err, net.ErrClosed) { // the sandbox was destroyed first
		err = nil
	}
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.abort()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}
