package http1

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	contentLength = "Content-Length: "
	// lengthGap is the room for a length that is known behind the body.
	lengthGap = 10
	// maxCopied is up to what size a body is copied behind its head, which is
	// cheaper than to write two pieces.
	maxCopied = 16 << 10
)

// Begin starts an answer, and drops what was said of another before. After it
// come Field and ForeignField, then End, or OpenBody and CloseBody.
func (x *Exchange) Begin(status int) {
	b := append(x.conn.work.out[:0], "HTTP/1.1 "...)
	b = append(strconv.AppendInt(b, int64(status), 10), ' ')
	x.conn.work.out = append(append(b, http.StatusText(status)...), crlf...)
	x.status, x.dated = status, false
}

// Field adds a header. Name and value are the platform's own words.
func (x *Exchange) Field(name, value string) {
	b := append(append(x.conn.work.out, name...), ": "...)
	x.conn.work.out = append(append(b, value...), crlf...)
}

// ForeignField adds a header that a function has named: its name is written in
// the usual case, one that is no name is left out, and control characters in the
// value become blanks. What the server says itself (Content-Length, Connection,
// Transfer-Encoding) is the caller's to leave out.
func (x *Exchange) ForeignField(name, value []byte) {
	if !isToken(name) || x.status == http.StatusNotModified && EqualFold(name, "content-type") {
		return
	}
	x.dated = x.dated || EqualFold(name, "date")
	b := x.conn.work.out
	upper := true
	for _, c := range name {
		switch {
		case upper && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case !upper && 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		upper = c == '-'
		b = append(b, c)
	}
	b = append(b, ": "...)
	for _, c := range trimBlanks(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			c = ' '
		}
		b = append(b, c)
	}
	x.conn.work.out = append(b, crlf...)
}

// End sends the answer with a body, which is read until End returns.
func (x *Exchange) End(body []byte) {
	if len(body) <= maxCopied || !x.sendsBody() {
		x.CloseBody(append(x.OpenBody(), body...))
		return
	}
	x.closeHead()
	b := append(x.conn.work.out, contentLength...)
	b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n\r\n"...)
	x.conn.work.out = b
	if x.answer() {
		pieces := net.Buffers{b, body}
		_, x.writeErr = pieces.WriteTo(x.conn.nc)
	}
}

// OpenBody ends the answer's head and returns memory to append the body to, for
// CloseBody.
func (x *Exchange) OpenBody() []byte {
	x.closeHead()
	b := append(x.conn.work.out, contentLength...)
	x.mark = len(b)
	b = append(b, "          \r\n\r\n"...)
	x.conn.work.out = b
	return b
}

// CloseBody sends the answer with the body that was appended to what OpenBody
// returned. The head moves up to it, so that the two are one piece with the
// length between them.
func (x *Exchange) CloseBody(b []byte) {
	x.conn.work.out = b
	at := x.mark + lengthGap + len("\r\n\r\n")
	var digits [20]byte
	length := strconv.AppendInt(digits[:0], int64(len(b)-at), 10)
	shift := lengthGap - len(length)
	copy(b[shift:], b[:x.mark])
	copy(b[shift+x.mark:], length)
	switch {
	case !x.allowsBody():
		end := shift + x.mark - len(contentLength)
		copy(b[end:], crlf)
		b = b[:end+len(crlf)]
	case !x.sendsBody():
		b = b[:at]
	}
	if x.answer() {
		_, x.writeErr = x.conn.nc.Write(b[shift:])
	}
}

// closeHead adds what the server says itself, but for the length.
func (x *Exchange) closeHead() {
	if x.answered {
		return
	}
	x.sent = time.Now()
	if !x.dated {
		x.conn.work.out = x.conn.server.date.append(x.conn.work.out, x.sent)
	}
	x.last = x.last || x.Minor == 0 && !x.keepAlive || x.close || x.conn.gone || x.conn.server.closing.Load() || !x.body.mayBeDiscarded(x.expectsContinue)
	switch {
	case x.last:
		x.Field("Connection", "close")
	case x.Minor == 0:
		x.Field("Connection", "keep-alive")
	}
}

// answer reports whether this is the first answer of the exchange, which alone is
// sent, and gives it its deadline.
func (x *Exchange) answer() bool {
	if x.answered {
		return false
	}
	x.answered = true
	x.conn.writeBy.atLeast(x.conn.nc.SetWriteDeadline, x.sent, x.conn.server.cfg.WriteTimeout)
	return true
}

// allowsBody reports whether an answer of this status can have a body and a
// length (RFC 9110, 8.6 and 15).
func (x *Exchange) allowsBody() bool {
	return x.status != http.StatusNoContent && x.status != http.StatusNotModified
}

func (x *Exchange) sendsBody() bool {
	return x.allowsBody() && string(x.Method) != http.MethodHead
}
