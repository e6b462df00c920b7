package http1

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Exchange is a request and the answer to it.
type Exchange struct {
	Request

	conn *conn
	body body
	slow bool // the body's deadline is set

	status   int
	dated    bool // the response brings its own Date
	mark     int  // while a body is appended: where the head ends
	answered bool
	sent     time.Time
	last     bool // the connection is closed behind this answer
	writeErr error
}

// reset prepares x for the next request; the memory of its header lines is used
// again.
func (x *Exchange) reset() {
	x.Request = Request{Fields: x.Fields[:0], remoteIP: x.remoteIP, Received: time.Now()}
	x.body = body{ended: true}
	x.status, x.answered, x.last, x.writeErr = 0, false, false, nil
}

// finish ends the exchange and reports whether the connection can serve on.
func (x *Exchange) finish() bool {
	c := x.conn
	c.unwatch()
	if !x.answered {
		x.refused(errUnanswered)
		return false
	}
	if x.writeErr != nil || c.gone {
		return false
	}
	clean := x.discard()
	if !clean {
		x.linger()
	}
	return clean && !x.last
}

// refuse answers a request that could not be read. A connection that broke is
// not answered.
func (x *Exchange) refuse(err error) {
	if r, ok := errors.AsType[*refusal](err); ok {
		x.refused(r)
	}
}

func (x *Exchange) refused(r *refusal) {
	x.last = true
	x.Begin(r.status)
	x.Field("Content-Type", "application/json")
	x.Field("X-Amzn-Errortype", r.reason)
	if r.status == http.StatusServiceUnavailable {
		x.Field("Retry-After", "1")
	}
	b := x.OpenBody()
	b = append(b, `{"Message":`...)
	b = strconv.AppendQuote(b, r.detail) // plain ASCII: as JSON has it
	x.CloseBody(append(b, '}'))
	x.linger()
}

// linger gives the client time to read its answer: a socket closed with bytes
// still unread would be reset, and the answer lost.
func (x *Exchange) linger() {
	c := x.conn
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || x.writeErr != nil || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTimeout))
	for left := maxLinger; left > 0; {
		n, err := c.nc.Read(c.work.in)
		if err != nil {
			return
		}
		left -= n
	}
}
