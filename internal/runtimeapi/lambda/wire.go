package lambda

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"mayfly.dev/mayfly/internal/invocation"
)

// coalesceBytes is up to which size a payload is copied behind its headers;
// beyond, two buffers in one system call are cheaper than the copy.
const coalesceBytes = 64 << 10

var accepted = []byte(`{"status":"OK"}` + "\n")

// errGone says that a /next's client has closed its connection.
var errGone = errors.New("the runtime closed the connection")

// errUnknownID says that an answer names another invocation than the current.
var errUnknownID = errors.New("unknown invocation id")

// refusal says that the runtime may not do something now.
type refusal struct {
	phase  phase
	action string
}

func (r *refusal) Error() string {
	return "the runtime may not " + r.action + ": its state is \"" + r.phase.String() + "\""
}

// writeInvocation answers a /next, the connection's last request or not.
func (c *conn) writeInvocation(inv *invocation.Invocation, last bool) error {
	b := make([]byte, 0, 1024)
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"...)
	b = appendHeader(b, "Lambda-Runtime-Aws-Request-Id", inv.ID)
	if !inv.Deadline.IsZero() {
		b = append(b, "Lambda-Runtime-Deadline-Ms: "...)
		b = strconv.AppendInt(b, inv.Deadline.UnixMilli(), 10)
		b = append(b, "\r\n"...)
	}
	b = appendHeader(b, "Lambda-Runtime-Invoked-Function-Arn", inv.ARN)
	b = appendHeader(b, "Lambda-Runtime-Trace-Id", inv.TraceID)
	b = appendHeader(b, "Lambda-Runtime-Client-Context", string(inv.ClientContext))
	b = appendHeader(b, "Lambda-Runtime-Cognito-Identity", string(inv.CognitoIdentity))
	if last {
		b = append(b, "Connection: close\r\n"...)
	}
	b = appendLength(b, len(inv.Payload))
	return c.write(b, inv.Payload)
}

// reply answers a request with a whole body. A nil request means that its head
// could not be read and the connection ends.
func (c *conn) reply(req *http.Request, status int, contentType string, body []byte) error {
	b := make([]byte, 0, 256+len(body))
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	b = appendHeader(b, "Content-Type", contentType)
	if req == nil || req.Close {
		b = append(b, "Connection: close\r\n"...)
	}
	return c.write(appendLength(b, len(body)), body)
}

func (c *conn) replyError(req *http.Request, status int, errorType, message string) error {
	body, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{message, errorType})
	if err != nil { // two strings always marshal
		panic(err)
	}
	return c.reply(req, status, "application/json", append(body, '\n'))
}

func (c *conn) write(head, body []byte) error {
	if len(body) <= coalesceBytes {
		_, err := c.nc.Write(append(head, body...))
		return err
	}
	buffers := net.Buffers{head, body}
	_, err := buffers.WriteTo(c.nc)
	return err
}

// appendHeader adds a header unless its value is empty. Line ends and other
// control characters, which a client context in pretty-printed JSON has, become
// blanks: JSON keeps its meaning and nobody can add headers of his own.
func appendHeader(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	b = append(b, ": "...)
	if strings.IndexFunc(value, isControl) < 0 {
		b = append(b, value...)
	} else {
		b = append(b, strings.TrimSpace(strings.Map(blankControl, value))...)
	}
	return append(b, "\r\n"...)
}

func appendLength(b []byte, n int) []byte {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, "\r\n\r\n"...)
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func blankControl(r rune) rune {
	if isControl(r) {
		return ' '
	}
	return r
}
