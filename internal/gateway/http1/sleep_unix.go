//go:build unix

package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// sleeper waits for a connection's next bytes. On a socket it holds no memory for
// them until they are there: it asks the kernel with memory from the pool and
// gives that back when there is nothing.
type sleeper struct {
	raw syscall.RawConn // nil: not a socket
	ask func(fd uintptr) bool
	n   int
	err error
}

func (s *sleeper) init(nc net.Conn) {
	if sc, ok := nc.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
}

// read receives into new memory of c.
func (s *sleeper) read(c *conn) (int, error) {
	if s.raw == nil {
		c.work = works.Get().(*work)
		return c.nc.Read(c.work.in)
	}
	if s.ask == nil {
		s.ask = func(fd uintptr) bool { return s.try(c, int(fd)) }
	}
	if err := s.raw.Read(s.ask); err != nil {
		return 0, err
	}
	return s.n, s.err
}

// try reports false when there is nothing to receive yet.
func (s *sleeper) try(c *conn, fd int) bool {
	w := works.Get().(*work)
	for {
		n, err := syscall.Read(fd, w.in)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			works.Put(w)
			return false
		case err != nil:
			s.n, s.err = 0, os.NewSyscallError("read", err)
		case n == 0:
			s.n, s.err = 0, io.EOF
		default:
			s.n, s.err = n, nil
		}
		c.work = w
		return true
	}
}
