package http1

import (
	"bytes"
	"errors"
	"slices"
)

const (
	// maxChunkLine bounds a chunk's size line with its extensions.
	maxChunkLine = 256
	// maxChunkDigits bounds the digits of a chunk's size.
	maxChunkDigits = 8
	// thinChunks is how many chunks a body may have beyond one for every 16 bytes:
	// lines that cost more than they carry are an attack.
	thinChunks = 1024
)

var (
	errChunk   = errors.New("http1: a chunk of the body is malformed")
	errTrailer = errors.New("http1: the lines behind the body are malformed or too large")
)

// readChunks appends a body that comes in chunks (RFC 9112, 7.1). Lines end with
// carriage return and line feed, sizes are digits alone, extensions are ignored.
// The trailers are read and dropped, as the section allows: nothing in there may
// pass for a header.
func (x *Exchange) readChunks(dst []byte, most int) ([]byte, error) {
	begin := len(dst)
	for chunks := 1; ; chunks++ {
		line, err := x.readLine(maxChunkLine)
		if err != nil {
			return dst, err
		}
		size, ok := parseChunkSize(line)
		if !ok {
			return dst, errChunk
		}
		if size == 0 {
			return dst, x.dropTrailers()
		}
		at := len(dst)
		if size > most-(at-begin) {
			return dst, ErrBodyTooLarge
		}
		if chunks > thinChunks+(at-begin)/16 {
			return dst, errChunk
		}
		if dst, err = x.readSized(dst, size, 0); err != nil {
			return dst, err
		}
		var end [2]byte
		if err := x.readFull(end[:]); err != nil {
			return dst, err
		}
		if end != [2]byte{'\r', '\n'} {
			return dst, errChunk
		}
	}
}

// parseChunkSize reads a size line without its end.
func parseChunkSize(line []byte) (int, bool) {
	digits := 0
	size := 0
	for digits < len(line) && unhex(line[digits]) >= 0 {
		size = size<<4 | unhex(line[digits])
		if digits++; digits > maxChunkDigits {
			return 0, false
		}
	}
	extensions := trimBlanks(line[digits:])
	if digits == 0 || len(extensions) > 0 && extensions[0] != ';' || len(extensions) == 0 && digits < len(line) {
		return 0, false
	}
	return size, !slices.ContainsFunc(extensions, func(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// dropTrailers reads up to the empty line that ends the body.
func (x *Exchange) dropTrailers() error {
	for left := maxTrailerBytes; ; {
		line, err := x.readLine(min(left, maxLineBytes))
		switch {
		case errors.Is(err, errChunk):
			return errTrailer
		case err != nil:
			return err
		case len(line) == 0:
			return nil
		}
		if _, err := parseField(line); err != nil {
			return errTrailer
		}
		left -= len(line) + len(crlf)
	}
}

// readLine reads a line of at most most bytes, which stays valid until the next
// is read. It is returned without its end.
func (x *Exchange) readLine(most int) ([]byte, error) {
	c := x.conn
	for {
		b := c.work.in[c.r:c.w]
		i := bytes.IndexByte(b, '\n')
		switch {
		case i > most || i < 0 && len(b) > most:
			return nil, errChunk
		case i >= 0:
			c.r += i + 1
			if i == 0 || b[i-1] != '\r' {
				return nil, errChunk
			}
			return b[:i-1], nil
		}
		c.makeRoomBehindHead()
		x.slowDown()
		n, err := c.nc.Read(c.work.in[c.w:])
		c.w += n
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// makeRoomBehindHead makes room for a line. The head, which the request still
// refers to, is left where it is: it keeps its memory if the line gets another.
func (c *conn) makeRoomBehindHead() {
	if len(c.work.in)-c.w >= maxChunkLine {
		return
	}
	in := make([]byte, inBytes)
	c.w = copy(in, c.work.in[c.r:c.w])
	c.r, c.work.in = 0, in
}
