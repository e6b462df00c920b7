package telemetry

import (
	"encoding/binary"
	"errors"
	"time"
)

// Entries are stored as fields: a tag, which says what the field is and how long,
// and its value. Fields that are zero are left out, and fields of a later version
// are passed over, so that nodes read what their neighbours in time have written.
// A tag is never given a second meaning.

// errCorrupt says that stored entries can't be read.
var errCorrupt = errors.New("the stored entries are corrupt")

// fields writes the fields of one entry.
type fields struct{ buf []byte }

// number writes a field that is a number.
func (f *fields) number(tag int, v int64) {
	if v != 0 {
		f.buf = binary.AppendVarint(binary.AppendUvarint(f.buf, uint64(tag)<<1), v)
	}
}

// flag writes a field that is a truth.
func (f *fields) flag(tag int, v bool) {
	if v {
		f.number(tag, 1)
	}
}

// duration writes a field that is a duration.
func (f *fields) duration(tag int, d time.Duration) { f.number(tag, int64(d)) }

// text writes a field that is a string.
func (f *fields) text(tag int, s string) {
	if s != "" {
		f.buf = append(binary.AppendUvarint(binary.AppendUvarint(f.buf, uint64(tag)<<1|1), uint64(len(s))), s...)
	}
}

// reader reads what fields wrote.
type reader struct {
	buf    []byte
	failed bool
}

// uvarint reads an unsigned number; after a failure it is zero.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.buf, r.failed = nil, true
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

// varint reads a signed number.
func (r *reader) varint() int64 {
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.buf, r.failed = nil, true
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

// bytes reads so many bytes, which stay part of the buffer.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.buf, r.failed = nil, true
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

// field is one field as it was read.
type field struct {
	tag    int
	number int64
	text   []byte
}

// field reads the next field; false at the end.
func (r *reader) field() (f field, ok bool) {
	if len(r.buf) == 0 {
		return field{}, false
	}
	tag := r.uvarint()
	f.tag = int(tag >> 1)
	if tag&1 == 0 {
		f.number = r.varint()
	} else {
		f.text = r.bytes(r.uvarint())
	}
	return f, !r.failed
}
