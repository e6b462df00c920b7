package http1

import (
	"bytes"
	"time"
)

// Field is one header line: the name in lower case, the value without the blanks
// around it.
type Field struct{ Name, Value []byte }

// Request is the head of a request. Its bytes lie in the connection's buffer.
type Request struct {
	Method []byte
	// Target is the request's target as it was sent; Path and Query are its parts,
	// percent-encoded as they came. Path begins with a slash.
	Target, Path, Query []byte
	// Host is what an absolute target names, else the Host header.
	Host []byte
	// Minor is the version's minor number: HTTP/1.0 or HTTP/1.1.
	Minor int
	// Fields are the header lines in their order, all of them.
	Fields []Field
	// HeadBytes is the size of the head as it was sent.
	HeadBytes int
	// ContentLength is the body's declared size; -1: it comes in chunks.
	ContentLength int64
	// Received is when the head had arrived.
	Received time.Time

	remoteIP         string
	expectsContinue  bool
	close, keepAlive bool // what Connection says
}

// Get returns the first value of a header, whose name is in lower case; nil: it
// is not there.
func (r *Request) Get(name string) []byte {
	for i := range r.Fields {
		if string(r.Fields[i].Name) == name {
			return r.Fields[i].Value
		}
	}
	return nil
}

// Proto is the request's version in words.
func (r *Request) Proto() string {
	if r.Minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// RemoteIP is the address that the connection comes from, without its port.
func (r *Request) RemoteIP() string { return r.remoteIP }

// EachToken calls visit for the elements of a header's comma-separated list
// (RFC 9110, 5.6.1), without blanks around them and without empty ones.
func EachToken(list []byte, visit func(token []byte)) {
	for len(list) > 0 {
		var token []byte
		token, list, _ = bytes.Cut(list, comma)
		if token = trimBlanks(token); len(token) > 0 {
			visit(token)
		}
	}
}

var comma = []byte(",")

// trimBlanks removes spaces and tabs around b (OWS).
func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
