package lambda

import (
	"context"
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

var (
	accepted      = []byte(`{"status":"OK"}` + "\n")
	acceptedReply = append([]byte("HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"), accepted...)
)

// errGone says that a /next's client has closed its connection.
var errGone = errors.New("the runtime closed the connection")

// errUnknownID says that an answer names another invocation than the current.
var errUnknownID = errors.New("unknown invocation id")

// refusal says that the runtime may not do something now.
type refusal struct{ state, action string }

func (r *refusal) Error() string {
	return "the runtime may not " + r.action + ": its state is \"" + r.state + "\""
}

// writeInvocation answers a /next, the connection's last request or not. The end
// of ctx ends the connection if the runtime does not take all of it.
func (c *conn) writeInvocation(ctx context.Context, inv *invocation.Invocation, last bool) error {
	b := append(c.out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"...)
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
	if len(inv.Payload) > coalesceBytes {
		defer context.AfterFunc(ctx, c.abort)()
		return c.write(b, inv.Payload)
	}
	c.out = append(b, inv.Payload...)
	return c.send(ctx, c.out)
}

// send writes b. Nearly always the socket takes it at once: only if it does not,
// the end of ctx has to be watched.
func (c *conn) send(ctx context.Context, b []byte) error {
	if c.raw != nil {
		c.unsent = b
		err := c.raw.Write(c.attempt)
		b, c.unsent = c.unsent, nil
		if err != nil || len(b) == 0 {
			return err
		}
	}
	defer context.AfterFunc(ctx, c.abort)()
	_, err := c.nc.Write(b)
	return err
}

// reply answers a request, the connection's last or not, with a whole body.
func (c *conn) reply(last bool, status int, contentType string, body []byte) error {
	b := make([]byte, 0, 256+len(body))
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	b = appendHeader(b, "Content-Type", contentType)
	if last {
		b = append(b, "Connection: close\r\n"...)
	}
	return c.write(appendLength(b, len(body)), body)
}

func (c *conn) replyError(last bool, status int, errorType, message string) error {
	body, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{message, errorType})
	if err != nil { // two strings always marshal
		panic(err)
	}
	return c.reply(last, status, "application/json", append(body, '\n'))
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
