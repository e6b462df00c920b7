package native

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"mayfly.dev/mayfly/internal/telemetry"
)

const (
	eventStream = "text/event-stream"
	// eventTimeout ends the stream of a client that does not read.
	eventTimeout = 15 * time.Second
)

// events writes server-sent events. After its first error it does nothing.
type events struct {
	writer  http.ResponseWriter
	control *http.ResponseController
	err     error
}

func newEvents(w http.ResponseWriter) *events {
	return &events{writer: w, control: http.NewResponseController(w)}
}

// line sends a line of a log; its cursor is the event's id.
func (s *events) line(l telemetry.Line) {
	w := showLine(l)
	s.send("line", w.Cursor, w)
}

// send writes an event whose data is JSON, and so has no line feed.
func (s *events) send(event, id string, data any) {
	var b bytes.Buffer
	b.WriteString("event: " + event + "\n")
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	b.WriteString("data: ")
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil { // our own shapes always encode
		panic(err)
	}
	b.WriteString("\n")
	s.write(b.Bytes())
}

// comment sends what the client skips, at once.
func (s *events) comment(text string) {
	s.write([]byte(": " + text + "\n\n"))
	s.flush()
}

func (s *events) write(b []byte) {
	if s.err != nil {
		return
	}
	// A writer without deadlines (in tests) leaves the bound to the server.
	_ = s.control.SetWriteDeadline(time.Now().Add(eventTimeout))
	_, s.err = s.writer.Write(b)
}

func (s *events) flush() {
	if s.err == nil {
		s.err = s.control.Flush()
	}
}
