//go:build !unix

package http1

import "net"

// sleeper waits for a connection's next bytes.
type sleeper struct{}

func (s *sleeper) init(net.Conn) {}

// read receives into new memory of c.
func (s *sleeper) read(c *conn) (int, error) {
	c.work = works.Get().(*work)
	return c.nc.Read(c.work.in)
}
