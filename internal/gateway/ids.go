package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"sync"

	"mayfly.dev/mayfly/internal/invocation"
)

const (
	uuidBytes = 16
	uuidChars = 36
	// idChars is the room for a request id and a trace header that begins here.
	idChars = uuidChars + len("Root=1-01234567-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0")
)

// identify gives a request its id, a UUID, and its trace: the caller's, or a new
// one. Both texts share one piece of memory.
func (g *Gateway) identify(q *request) {
	var bytes [uuidBytes + invocation.TraceRandomBytes]byte
	g.random.read(&bytes)
	b := appendUUID(make([]byte, 0, idChars), [uuidBytes]byte(bytes[:uuidBytes]))
	given := q.Get("x-amzn-trace-id")
	if len(given) > 0 {
		q.traceID = string(given)
	}
	if !invocation.ValidTrace(q.traceID) {
		b = invocation.AppendTrace(b, q.Received, [invocation.TraceRandomBytes]byte(bytes[uuidBytes:]))
		text := string(b)
		q.id, q.traceID = text[:uuidChars], text[uuidChars:]
		return
	}
	q.id = string(b)
}

// appendUUID writes a random (version 4) UUID.
func appendUUID(b []byte, id [uuidBytes]byte) []byte {
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	b = append(hex.AppendEncode(b, id[:4]), '-')
	b = append(hex.AppendEncode(b, id[4:6]), '-')
	b = append(hex.AppendEncode(b, id[6:8]), '-')
	b = append(hex.AppendEncode(b, id[8:10]), '-')
	return hex.AppendEncode(b, id[10:])
}

// random hands out bytes of the system's random source, which it asks for many at
// once: where that is a system call it costs more than all else about an id.
type random struct{ batches sync.Pool } // of *batch

type batch struct {
	bytes [1024]byte
	left  int
}

func (r *random) read(p *[uuidBytes + invocation.TraceRandomBytes]byte) {
	b, ok := r.batches.Get().(*batch)
	if !ok {
		b = new(batch)
	}
	if b.left < len(p) {
		_, _ = rand.Read(b.bytes[:]) // never fails: it ends the program instead
		b.left = len(b.bytes)
	}
	b.left -= len(p)
	copy(p[:], b.bytes[b.left:])
	r.batches.Put(b)
}
