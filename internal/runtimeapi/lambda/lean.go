package lambda

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"mayfly.dev/mayfly/internal/invocation"
)

// Nearly all that a runtime sends is one of two requests, which are read by hand
// from the connection's buffer: GET /next and POST /response with a length. What
// is in any way unusual, a chunked body, a wrong state, an odd header, goes to
// net/http and the handlers in routes.go, which know all of it. A request that is
// read here would be understood in the same way there: FuzzLean compares them.

// lean is the head of a usual request.
type lean struct {
	next   bool   // GET /next; else POST /response
	id     []byte // of the answered invocation, in the connection's buffer
	length int    // of the body
	last   bool   // the connection ends with the answer
	size   int    // of the head itself
}

var (
	lineEnd    = []byte("\r\n")
	leanNext   = []byte("GET " + pathNext + " HTTP/1.1\r\n")
	leanPost   = []byte("POST " + pathInvocation)
	leanAnswer = []byte("/response HTTP/1.1\r\n")
)

// parseLean reads the head at the beginning of b, if all of it is there and it is
// a usual one.
func parseLean(b []byte) (h lean, ok bool) {
	rest, ok := h.requestLine(b)
	if !ok {
		return h, false
	}
	for seen := false; ; {
		line, after, found := bytes.Cut(rest, lineEnd)
		if !found {
			return h, false
		}
		rest = after
		if len(line) == 0 {
			h.size = len(b) - len(rest)
			return h, !h.next && seen || h.next && h.length == 0
		}
		name, value, found := bytes.Cut(line, []byte{':'})
		if !found || !isToken(name) || !isPlain(value) {
			return h, false
		}
		length, usual := h.header(name, bytes.Trim(value, " "))
		if !usual || length && seen {
			return h, false
		}
		seen = seen || length
	}
}

// requestLine reads the first line and returns what follows it.
func (h *lean) requestLine(b []byte) (rest []byte, ok bool) {
	if rest, ok := bytes.CutPrefix(b, leanNext); ok {
		h.next = true
		return rest, true
	}
	rest, ok = bytes.CutPrefix(b, leanPost)
	if !ok {
		return nil, false
	}
	id := bytes.IndexByte(rest, '/')
	if id <= 0 || !isToken(rest[:id]) {
		return nil, false
	}
	h.id = rest[:id]
	return bytes.CutPrefix(rest[id:], leanAnswer)
}

// header takes one header. It reports whether that was the body's length, and
// whether it is one that can be dealt with here.
func (h *lean) header(name, value []byte) (length, usual bool) {
	switch len(name) {
	case len("Connection"):
		if bytes.EqualFold(name, []byte("Connection")) {
			h.last = bytes.EqualFold(value, []byte("close"))
			return false, h.last || bytes.EqualFold(value, []byte("keep-alive"))
		}
	case len("Content-Type"):
		if bytes.EqualFold(name, []byte("Content-Type")) {
			return false, bytes.EqualFold(value, []byte(typeJSON)) || !bytes.Contains(bytes.ToLower(value), []byte("awslambda"))
		}
	case len("Content-Length"):
		if bytes.EqualFold(name, []byte("Content-Length")) {
			return true, h.setLength(value)
		}
	case len("Transfer-Encoding"):
		return false, !bytes.EqualFold(name, []byte("Transfer-Encoding"))
	case len("Expect"):
		return false, !bytes.EqualFold(name, []byte("Expect"))
	case len("Trailer"): // and Upgrade
		return false, !bytes.EqualFold(name, []byte("Trailer")) && !bytes.EqualFold(name, []byte("Upgrade"))
	case len(headerMode):
		return false, !bytes.EqualFold(name, []byte(headerMode))
	}
	return false, true
}

func (h *lean) setLength(digits []byte) bool {
	if len(digits) == 0 || len(digits) > 7 {
		return false
	}
	h.length = 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return false
		}
		h.length = h.length*10 + int(d-'0')
	}
	return h.length <= invocation.MaxResponseBytes
}

// isToken reports whether a name has letters, digits and hyphens alone.
func isToken(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(b) > 0
}

// isPlain reports whether a value has no control character.
func isPlain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// serveLean answers the request in the buffer if it is a usual one. handled is
// false if it has not been touched. An error means that the connection is of no
// more use.
func (c *conn) serveLean() (handled bool, err error) {
	head, _ := c.reader.Peek(c.reader.Buffered()) // never fails
	h, ok := parseLean(head)
	switch {
	case !ok:
		return false, nil
	case !c.pollOver(true):
		return true, errGone
	case h.next:
		return c.leanNext(h)
	default:
		return c.leanAnswer(h)
	}
}

func (c *conn) leanNext(h lean) (handled bool, err error) {
	if c.gone() {
		return true, errGone
	}
	p := &poll{conn: c, last: h.last, over: make(chan struct{})}
	call, err := c.register(p)
	if err != nil {
		return false, nil //nolint:nilerr // the handler in routes.go asks again and refuses
	}
	_, _ = c.reader.Discard(h.size) // is in the buffer
	if call == nil {
		c.poll = p
		return true, nil
	}
	c.session.deliver(context.Background(), call, p)
	if h.last {
		return true, io.EOF
	}
	return true, nil
}

func (c *conn) leanAnswer(h lean) (handled bool, err error) {
	call, err := c.session.begin(string(h.id))
	if err != nil {
		return false, nil //nolint:nilerr // the handler in routes.go asks again and refuses
	}
	_, _ = c.reader.Discard(h.size) // is in the buffer
	c.limit.N = maxBodyBytes
	body := make([]byte, h.length)
	if _, err := io.ReadFull(c.reader, body); err != nil {
		c.session.finish(call, brokenOff(errTruncated))
		_ = c.replyError(true, http.StatusBadRequest, "TruncatedHTTPRequest", errTruncated.Error())
		return true, errTruncated
	}
	c.session.finish(call, &invocation.Result{Payload: body, ContentType: typeJSON})
	if h.last {
		_ = c.reply(true, http.StatusAccepted, typeJSON, accepted)
		return true, io.EOF
	}
	_, err = c.nc.Write(acceptedReply)
	return true, err
}
