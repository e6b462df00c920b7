package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// The states of a connection. Only an idle one is closed by Shutdown.
const (
	idle int32 = iota
	active
	closed
)

// conn is one connection. All but state and watch belongs to its goroutine.
type conn struct {
	server *Server
	nc     net.Conn
	sleep  sleeper
	state  atomic.Int32

	ctx    *callContext
	cancel context.CancelCauseFunc
	watch  watch

	work    *work // nil while idle
	r, w    int   // work.in[r:w] was received and not yet read
	x       Exchange
	readBy  deadline
	writeBy deadline
	gone    bool // the client has closed its side
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, nc: nc}
	ctx, cancel := context.WithCancelCause(context.Background())
	c.ctx, c.cancel = &callContext{ctx, c}, cancel
	c.x.conn = c
	c.x.remoteIP = host(nc.RemoteAddr().String())
	return c
}

// host returns an address without its port.
func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}

// serve answers one request after the other. It returns when the connection is
// closed.
func (c *conn) serve() {
	defer c.end()
	c.sleep.init(c.nc)
	c.readBy.set(c.nc.SetReadDeadline, time.Now(), c.server.cfg.HeaderTimeout)
	for {
		if !c.await() || !c.state.CompareAndSwap(idle, active) {
			return
		}
		if !c.request() {
			return
		}
		c.state.Store(idle)
		if c.server.closing.Load() {
			return
		}
		c.readBy.atMost(c.nc.SetReadDeadline, c.x.sent, c.server.cfg.IdleTimeout)
	}
}

func (c *conn) end() {
	if p := recover(); p != nil {
		c.server.cfg.Log.Error("a connection panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.unwatch()
	}
	c.abort(net.ErrClosed)
	if c.work != nil {
		c.work.release()
		c.work = nil
	}
}

// abort closes the connection under whoever uses it.
func (c *conn) abort(cause error) {
	c.state.Store(closed)
	c.cancel(cause)
	_ = c.nc.Close()
}

// closeIdle closes the connection if no request is under way.
func (c *conn) closeIdle() {
	if c.state.CompareAndSwap(idle, closed) {
		_ = c.nc.Close()
	}
}

// await waits for the first bytes of a request, without memory for them while
// there are none. It reports false when the client has closed, or was idle for
// too long.
func (c *conn) await() bool {
	if c.w > c.r {
		return true // sent behind the last request
	}
	c.r, c.w = 0, 0
	if c.work != nil {
		c.work.fields = c.x.Fields[:0]
		c.work.release()
		c.work, c.x.Fields = nil, nil
	}
	c.w, _ = c.sleep.read(c) // whatever ends the wait ends the connection
	if c.work != nil {
		c.x.Fields = c.work.fields
	}
	return c.w > 0
}

// request reads one request and has it answered. It reports whether another may
// follow.
func (c *conn) request() bool {
	x := &c.x
	head, err := c.readHead()
	x.reset()
	if err == nil {
		err = x.parse(head)
	}
	if err != nil {
		x.refuse(err)
		return false
	}
	x.body.begin(x.ContentLength)
	if string(x.Path) == "*" {
		x.Begin(http.StatusOK)
		x.End(nil)
	} else {
		c.allowWatch()
		c.server.cfg.Handler.Serve(c.ctx, x)
	}
	return x.finish()
}

// readHead returns the next head, which stays where it is until the next request.
func (c *conn) readHead() ([]byte, error) {
	c.skipBlankLine()
	from, slow := 0, false
	for {
		b := c.work.in[c.r:c.w]
		end, next, err := headEnd(b, from, c.server.cfg.MaxHeaderBytes)
		if err != nil {
			return nil, err
		}
		if end > 0 {
			c.r += end
			if slow {
				c.readBy.clear()
			}
			return b[:end:end], nil
		}
		from = next
		if !slow {
			slow = true
			c.readBy.set(c.nc.SetReadDeadline, time.Now(), c.server.cfg.HeaderTimeout)
		}
		c.makeRoom()
		n, err := c.nc.Read(c.work.in[c.w:])
		c.w += n
		switch {
		case n > 0:
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, errHeadTimeout
		case errors.Is(err, io.EOF):
			return nil, malformed("the request's head ended early")
		case err != nil:
			return nil, err
		}
	}
}

// skipBlankLine passes over the empty line that some clients send behind a body
// (RFC 9112, 2.2).
func (c *conn) skipBlankLine() {
	if b := c.work.in[c.r:c.w]; len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		c.r += 2
	}
}

// makeRoom moves a head that is not yet complete to the front of the memory, and
// into a larger one if that is full.
func (c *conn) makeRoom() {
	if c.w < len(c.work.in) {
		return
	}
	in := c.work.in
	if c.w-c.r > len(in)/2 {
		in = make([]byte, 2*len(in))
	}
	c.w = copy(in, c.work.in[c.r:c.w])
	c.r, c.work.in = 0, in
}

// turnAway answers a connection that is one too many.
func (c *conn) turnAway() {
	c.work = works.Get().(*work)
	c.x.reset()
	c.x.refused(errConnections)
}
