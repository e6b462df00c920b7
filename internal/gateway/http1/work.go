package http1

import "sync"

const (
	// inBytes is the usual size of what a request is read into: a head and a small
	// body come in one piece.
	inBytes = 16 << 10
	// maxKeptOut bounds what is kept of the memory of a response.
	maxKeptOut = 64 << 10
)

// work is the memory that a connection needs while it has a request; an idle one
// gives it back.
type work struct {
	in     []byte // unread bytes are in[r:w] of the connection
	out    []byte
	fields []Field
}

var works = sync.Pool{New: func() any {
	return &work{in: make([]byte, inBytes), fields: make([]Field, 0, 16)}
}}

// release puts w back. What a large request has made large is left to the
// garbage collector.
func (w *work) release() {
	if len(w.in) != inBytes {
		w.in = make([]byte, inBytes)
	}
	if cap(w.out) > maxKeptOut {
		w.out = nil
	}
	clear(w.fields[:cap(w.fields)])
	works.Put(w)
}
