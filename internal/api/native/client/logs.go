package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

// maxEventBytes bounds one line of a stream: a log line of 256 KiB whose every
// byte is escaped.
const maxEventBytes = 2 << 20

// LogQuery selects lines; zero values select all.
type LogQuery struct {
	Since, Until time.Time
	RequestID    string
	// After is the cursor of the last line that the caller has.
	After string
	// Limit bounds the answer; when following, how many earlier lines come first.
	// 0: the node's default; negative: none, which only makes sense to follow.
	Limit int
	// Newest selects the last lines instead of the first.
	Newest bool
}

func (q LogQuery) values() url.Values {
	v := page(q.After, q.Limit)
	if q.Limit < 0 {
		v.Set("limit", "0")
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if !q.Until.IsZero() {
		v.Set("until", q.Until.UTC().Format(time.RFC3339Nano))
	}
	if q.RequestID != "" {
		v.Set("requestId", q.RequestID)
	}
	if q.Newest {
		v.Set("newest", strconv.FormatBool(true))
	}
	return v
}

// Logs returns lines of a function's log, oldest first.
func (c *Client) Logs(ctx context.Context, name string, q LogQuery) (wire.LogPage, error) {
	var out wire.LogPage
	r := c.function(http.MethodGet, name, "logs")
	r.query = q.values()
	_, err := c.do(ctx, r, &out)
	return out, err
}

// FollowLogs calls fn for lines of a function's log as they are written, until
// ctx is done, fn fails or the node ends the stream, and returns why. To go on
// after an error, pass the last line's cursor as After.
func (c *Client) FollowLogs(ctx context.Context, name string, q LogQuery, fn func(wire.Line) error) (err error) {
	r := c.function(http.MethodGet, name, "logs")
	r.query = q.values()
	r.query.Set("follow", "true")
	r.header = http.Header{"Accept": {"text/event-stream"}}
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	err = readEvents(resp.Body, func(event string, data []byte) error {
		switch event {
		case "line":
			var l wire.Line
			if err := json.Unmarshal(data, &l); err != nil {
				return fmt.Errorf("decode a line of the log: %w", err)
			}
			return fn(l)
		case "end":
			var p wire.Problem
			if err := json.Unmarshal(data, &p); err != nil {
				return fmt.Errorf("decode the end of the log: %w", err)
			}
			return fromProblem(p)
		default:
			return nil // of a later version
		}
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Wrap(err, fault.Unavailable, "NodeUnreachable", "the node at %s has gone while its log was followed", c.base)
	default:
		return err
	}
}

// readEvents reads server-sent events until fn fails or the stream ends, which is
// [io.ErrUnexpectedEOF].
func readEvents(r io.Reader, fn func(event string, data []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxEventBytes)
	var event string
	var data []byte
	for lines.Scan() {
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			event = string(value)
		case "data":
			if len(data)+len(value) > maxEventBytes {
				return fmt.Errorf("an event is larger than %d bytes", maxEventBytes)
			}
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
		case "":
			if len(lines.Bytes()) > 0 || data == nil { // a comment, or nothing to deliver
				continue
			}
			if err := fn(event, data); err != nil {
				return err
			}
			event, data = "", nil
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("an event is larger than %d bytes", maxEventBytes)
	}
	return errors.Join(io.ErrUnexpectedEOF, lines.Err())
}
