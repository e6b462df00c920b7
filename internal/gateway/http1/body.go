package http1

import (
	"io"
	"slices"
	"time"
)

// eager is how much memory a client gets for a body on its mere word, and for what
// the handler wants behind it.
const eager = 256 << 10

// body is a request's body as far as it has been read.
type body struct {
	left    int64 // of the sized body, or of the present chunk
	chunked bool
	ended   bool // nothing is left of it on the wire
	broken  bool // where it ends is not known any more
}

func (b *body) begin(length int64) {
	*b = body{left: length, ended: length == 0}
	if length < 0 {
		b.left, b.chunked = 0, true
	}
}

// ReadBody returns the request's body behind prefix, in memory of its own with
// room for at least spare further bytes. A body of more than most bytes is
// ErrBodyTooLarge; other errors are the connection's, or that the body is
// malformed. It is called at most once.
func (x *Exchange) ReadBody(prefix string, most, spare int) ([]byte, error) {
	left := max(0, x.body.left)
	if left > int64(most) {
		return nil, ErrBodyTooLarge
	}
	first := eager
	if left <= eager {
		first = int(left) + spare
	}
	dst := append(slices.Grow([]byte(nil), len(prefix)+first), prefix...)
	if x.body.ended {
		return dst, nil
	}
	c := x.conn
	c.unwatch()
	defer c.allowWatch()
	x.body.broken = true // until it has been read
	x.slow = false
	err := x.sendContinue()
	switch {
	case err != nil:
	case x.body.chunked:
		dst, err = x.readChunks(dst, most)
	default:
		dst, err = x.readSized(dst, int(left), spare)
	}
	if x.slow {
		c.readBy.clear()
	}
	if err != nil {
		return nil, err
	}
	x.body.broken, x.body.ended = false, true
	return slices.Grow(dst, spare), nil
}

// sendContinue tells a client that waits for it to send the body.
func (x *Exchange) sendContinue() error {
	c := x.conn
	if !x.expectsContinue || c.w > c.r {
		return nil
	}
	c.writeBy.atLeast(c.nc.SetWriteDeadline, x.Received, c.server.cfg.WriteTimeout)
	_, err := c.nc.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

// readSized appends n bytes. Memory for more than eager of them is taken when the
// first have come.
func (x *Exchange) readSized(dst []byte, n, spare int) ([]byte, error) {
	dst = slices.Grow(dst, min(n, eager))
	for n > 0 {
		size := min(n, cap(dst)-len(dst))
		if size == 0 {
			dst = slices.Grow(dst, n+spare)
			continue
		}
		at := len(dst)
		dst = dst[:at+size]
		if err := x.readFull(dst[at:]); err != nil {
			return dst, err
		}
		n -= size
	}
	return dst, nil
}

// readFull fills p: with what was received already, then past the connection's
// memory.
func (x *Exchange) readFull(p []byte) error {
	c := x.conn
	n := copy(p, c.work.in[c.r:c.w])
	c.r += n
	if n == len(p) {
		return nil
	}
	x.slowDown()
	_, err := io.ReadFull(c.nc, p[n:])
	return err
}

// slowDown sets the deadline of the body, when it has not come with the head.
func (x *Exchange) slowDown() {
	if !x.slow {
		x.slow = true
		x.conn.readBy.set(x.conn.nc.SetReadDeadline, time.Now(), x.conn.server.cfg.BodyTimeout)
	}
}

// mayBeDiscarded reports whether the connection can go on behind a body that is
// not read.
func (b *body) mayBeDiscarded(expectsContinue bool) bool {
	return b.ended || !b.broken && !b.chunked && !expectsContinue && b.left <= maxDiscard
}

// discard reads what is left of a body that nobody wanted, so that the next
// request can be read. It reports whether that worked out; much is not read.
func (x *Exchange) discard() bool {
	c := x.conn
	if x.body.ended || !x.body.mayBeDiscarded(x.expectsContinue) {
		return x.body.ended
	}
	if pending := int64(c.w - c.r); pending >= x.body.left {
		c.r += int(x.body.left)
		return true
	}
	left := x.body.left - int64(c.w-c.r)
	c.r, c.w = 0, 0
	c.readBy.set(c.nc.SetReadDeadline, time.Now(), lingerTimeout)
	defer c.readBy.clear()
	_, err := io.CopyN(io.Discard, c.nc, left)
	return err == nil
}
