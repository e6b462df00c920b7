package lambda

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const (
	// maxHeaderBytes bounds a request's head; the X-Ray cause alone may take
	// 64 KiB.
	maxHeaderBytes = 128 << 10
	// maxBodyBytes bounds what a request's body may take on the wire: the
	// largest response in chunks of one byte.
	maxBodyBytes = 64 << 20
	// bufferBytes is a connection's buffer and with it the longest trailer.
	bufferBytes = 32 << 10
	// headTimeout is how long a begun head may take, and the body of a request
	// that is refused. A connection on which nothing has begun may wait for
	// ever: it is kept while the environment is frozen.
	headTimeout = time.Minute
)

// conn is one connection of the runtime. Its goroutine reads and answers its
// requests one after the other; only the answer of a /next that waits is
// written by another goroutine, while this one reads on to learn whether the
// client is still there.
type conn struct {
	nc      net.Conn
	session *session
	limit   *io.LimitedReader
	reader  *bufio.Reader
	// raw is the descriptor; nil if there is none.
	raw syscall.RawConn
	// poll is the /next of this connection that may be unanswered.
	poll *poll
	// out is where answers are put together, by whoever answers.
	out []byte
	// attempt writes what is in unsent as far as it goes at once: see send.
	attempt func(fd uintptr) bool
	unsent  []byte
}

func newConn(nc net.Conn, s *session, r *bufio.Reader) *conn {
	c := &conn{nc: nc, session: s, limit: &io.LimitedReader{R: nc}, reader: r}
	r.Reset(c.limit)
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn() // fails only if nc is closed, as the next read will
	}
	c.attempt = func(fd uintptr) bool {
		if n, err := syscall.Write(int(fd), c.unsent); err == nil {
			c.unsent = c.unsent[n:]
		}
		return true
	}
	return c
}

// abort ends the connection; serve returns soon after.
func (c *conn) abort() { _ = c.nc.Close() } // there is nobody to tell

func (c *conn) serve() {
	defer c.abort()
	for {
		handled, err := c.await()
		if err != nil {
			return
		}
		if handled {
			continue
		}
		req, err := c.readHead()
		if !c.pollOver(err == nil) {
			return
		}
		if err != nil {
			c.refuseHead(err)
			return
		}
		if err := c.handle(req); err != nil {
			return
		}
		if c.poll == nil && (req.Close || !c.discard(req)) {
			return
		}
	}
}

// await waits for the next request and answers it if it is a usual one.
func (c *conn) await() (handled bool, err error) {
	c.limit.N = maxHeaderBytes
	if _, err := c.reader.Peek(1); err != nil {
		c.pollOver(false)
		return false, io.EOF // the client has gone between requests
	}
	return c.serveLean()
}

// pollOver waits until an earlier /next of this connection is answered. If the
// client has gone, it withdraws that instead and reports false.
func (c *conn) pollOver(alive bool) bool {
	p := c.poll
	if p == nil {
		return true
	}
	c.poll = nil
	if !alive {
		c.session.abandon(p)
		return false
	}
	select {
	case <-p.over:
		return true
	case <-c.session.closed:
		c.session.abandon(p)
		return false
	}
}

// errHeadTooLarge says that a request's head is longer than maxHeaderBytes.
var errHeadTooLarge = errors.New("request head too large")

// readHead reads a request up to its body.
func (c *conn) readHead() (*http.Request, error) {
	if head, _ := c.reader.Peek(c.reader.Buffered()); !bytes.Contains(head, []byte("\r\n\r\n")) {
		if err := c.nc.SetReadDeadline(time.Now().Add(headTimeout)); err != nil {
			return nil, io.EOF
		}
		defer c.nc.SetReadDeadline(time.Time{}) //nolint:errcheck // fails only on a closed connection, as the next read will
	}
	req, err := http.ReadRequest(c.reader)
	if err != nil && c.limit.N <= 0 {
		return nil, errHeadTooLarge
	}
	c.limit.N = maxBodyBytes
	return req, err
}

func (c *conn) refuseHead(err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrUnexpectedEOF):
	case errors.Is(err, errHeadTooLarge):
		_ = c.replyError(true, http.StatusRequestHeaderFieldsTooLarge, "RequestHeaderTooLarge", "the request's headers are too long")
	default:
		_ = c.replyError(true, http.StatusBadRequest, "InvalidRequest", "the request is not valid HTTP/1.1")
	}
}

// discard reads what a handler left of a request's body, so that the next
// request can be found. It reports whether that succeeded.
func (c *conn) discard(req *http.Request) bool {
	if req.Body == http.NoBody {
		return true
	}
	if err := c.nc.SetReadDeadline(time.Now().Add(headTimeout)); err != nil {
		return false
	}
	_, err := io.Copy(io.Discard, req.Body)
	return err == nil && c.nc.SetReadDeadline(time.Time{}) == nil
}

// gone reports whether the client has closed the connection, even if that still
// lies unread behind what this connection's goroutine is doing: a client that
// gives up a /next and asks again on another connection must neither be refused
// nor lose an invocation to the first.
func (c *conn) gone() bool {
	if c.raw == nil {
		return false
	}
	closed := false
	err := c.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		closed = n <= 0 && !errors.Is(err, syscall.EAGAIN)
	})
	return closed || err != nil
}

// inviteBody answers "Expect: 100-continue", with which curl holds back bodies
// of more than 1 MiB.
func (c *conn) inviteBody(req *http.Request) error {
	if !strings.EqualFold(req.Header.Get("Expect"), "100-continue") {
		return nil
	}
	_, err := io.WriteString(c.nc, "HTTP/1.1 100 Continue\r\n\r\n")
	return err
}
