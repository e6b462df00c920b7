package telemetry

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

// A chunk is many entries in one row of the database: a row each would take ten
// times the processor time. It grows until it has chunkEntries or chunkBytes or
// is chunkAge old, and is written again with each batch until then. Its age bounds
// how much longer than the retention an entry stays.
const (
	chunkEntries = 1024
	chunkBytes   = 64 << 10
	chunkAge     = time.Minute
)

// The kinds of what a chunk's body holds. Each piece is a kind, a length and so
// many bytes; kinds of a later version are passed over.
const (
	pieceString = 1 // gets the next number of the chunk's strings, from 1
	pieceLine   = 2 // the number of its scope, then fields
	pieceRecord = 3
)

// Entries take so many cursors each: a record has one for each of the lines that
// are worded from it, and shares the last.
const (
	lineCursors   = 1
	recordCursors = 3
)

// scope is whose an entry is.
type scope struct{ namespace, function string }

// chunk is being filled. It is not safe for concurrent use.
type chunk struct {
	first, next    int64 // the cursors of its first entry and of what follows
	opened         time.Time
	oldest, newest int64 // times of entries, in nanoseconds since 1970
	entries        int
	body           []byte
	requests       []byte // four bytes of a hash for each entry
	strings        map[string]int64
	scopes         map[scope]int64
	fresh          []scope // those that are not in the index of the database yet
	scratch        fields
}

func newChunk(first int64, now time.Time) *chunk {
	c := &chunk{strings: map[string]int64{}, scopes: map[scope]int64{}}
	c.reset(first, now)
	return c
}

// reset empties the chunk for other entries. It keeps its memory.
func (c *chunk) reset(first int64, now time.Time) {
	c.first, c.next, c.opened, c.entries = first, first, now, 0
	c.oldest, c.newest = math.MaxInt64, math.MinInt64
	c.body, c.requests, c.fresh = c.body[:0], c.requests[:0], c.fresh[:0]
	clear(c.strings)
	clear(c.scopes)
}

// full reports whether the next entry should go into another chunk.
func (c *chunk) full(now time.Time) bool {
	return c.entries >= chunkEntries || len(c.body) >= chunkBytes || c.entries > 0 && now.Sub(c.opened) >= chunkAge
}

// number returns the number of s among the chunk's strings; 0 for the empty one.
func (c *chunk) number(s string) int64 {
	if s == "" {
		return 0
	}
	n, ok := c.strings[s]
	if !ok {
		n = int64(len(c.strings) + len(c.scopes) + 1)
		c.strings[s] = n
		c.define(s)
	}
	return n
}

func (c *chunk) scope(namespace, function string) int64 {
	s := scope{namespace, function}
	n, ok := c.scopes[s]
	if !ok {
		n = int64(len(c.strings) + len(c.scopes) + 1)
		c.scopes[s] = n
		c.fresh = append(c.fresh, s)
		c.define(namespace + "\x00" + function)
	}
	return n
}

func (c *chunk) define(s string) {
	c.body = append(binary.AppendUvarint(append(c.body, pieceString), uint64(len(s))), s...)
}

// piece appends an entry with the fields in scratch.
func (c *chunk) piece(kind byte, scope int64, requestID string, cursors int64) {
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(scope))
	c.body = binary.AppendUvarint(append(c.body, kind), uint64(n+len(c.scratch.buf)))
	c.body = append(append(c.body, head[:n]...), c.scratch.buf...)
	c.requests = append(c.requests, requestMark(requestID)...)
	c.entries++
	c.next += cursors
}

// span widens the chunk's times by t.
func (c *chunk) span(t time.Time) {
	n := t.UnixNano()
	c.oldest, c.newest = min(c.oldest, n), max(c.newest, n)
}

func (c *chunk) addLine(l *Line) {
	scope := c.scope(l.Namespace, l.Function)
	environment, stream := c.number(l.Environment), c.number(l.Stream)
	f := &c.scratch
	f.buf = f.buf[:0]
	f.number(lineTime, l.Time.UnixNano())
	f.text(lineRequest, l.RequestID)
	f.number(lineEnvironment, environment)
	f.number(lineStream, stream)
	f.text(lineText, l.Text)
	c.span(l.Time)
	c.piece(pieceLine, scope, l.RequestID, lineCursors)
}

func (c *chunk) addRecord(r *invocation.Record) {
	scope := c.scope(r.Namespace, r.Function)
	refs := [...]int64{
		c.number(r.Version), c.number(r.Revision), c.number(r.Environment), c.number(r.Trigger),
		c.number(r.Outcome), c.number(r.ErrorType), c.number(r.ColdStartReason),
	}
	f := &c.scratch
	f.buf = f.buf[:0]
	f.text(recordRequest, r.RequestID)
	for i, ref := range refs {
		f.number(recordVersion+i, ref)
	}
	f.text(recordErrorMessage, r.ErrorMessage)
	f.text(recordTrace, r.TraceID)
	f.number(recordReceived, nanos(r.Received))
	f.number(recordBegan, nanos(r.Began))
	f.flag(recordStartWritten, r.StartWritten)
	f.flag(recordColdStart, r.ColdStart)
	f.flag(recordInitFailed, r.InitFailed)
	f.duration(recordQueue, r.Queue)
	f.duration(recordSandbox, r.Sandbox)
	f.duration(recordRuntime, r.Runtime)
	f.duration(recordLoad, r.Load)
	f.duration(recordInit, r.Init)
	f.duration(recordDuration, r.Duration)
	f.duration(recordBilled, r.Billed)
	f.duration(recordCPU, r.CPU)
	f.number(recordMemory, int64(r.MemoryMB))
	f.number(recordPeak, r.PeakMemoryBytes)
	f.number(recordRequestBytes, int64(r.RequestBytes))
	f.number(recordResponseBytes, int64(r.ResponseBytes))
	f.duration(recordDelay, r.Delay)
	c.span(r.Received)
	if r.Reported() {
		c.span(r.Began)
		c.span(r.Ended())
	}
	c.piece(pieceRecord, scope, r.RequestID, recordCursors)
}

// nanos is a time in nanoseconds since 1970; 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// requestMark is what a chunk says of a request beside its entries, so that most
// chunks that have none of a request need not be read for it.
func requestMark(requestID string) []byte {
	h := fnv.New32a()
	_, _ = h.Write([]byte(requestID)) // never fails
	return h.Sum(make([]byte, 0, 4))
}
