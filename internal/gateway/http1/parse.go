package http1

import (
	"bytes"
	"net/http"
)

var crlf = []byte("\r\n")

// headEnd returns where the head that begins b ends, or 0 if more has to be read;
// from is where an earlier look gave up. It refuses what can't become a head as
// soon as that is known.
func headEnd(b []byte, from, most int) (end, next int, err error) {
	if len(b) > 0 && !tchar[b[0]] {
		return 0, 0, malformed("a request begins with its method: this is not HTTP")
	}
	for line := from; ; {
		i := bytes.IndexByte(b[line:], '\n')
		if i < 0 {
			if len(b)-line > maxLineBytes {
				return 0, 0, tooLong(line)
			}
			if len(b) >= most {
				return 0, 0, errHeadersTooLarge
			}
			return 0, line, nil
		}
		stop := line + i
		switch {
		case i == 0 || b[stop-1] != '\r': // RFC 9112, 2.2 lets a server take a bare LF; two servers may then disagree about where a line ends
			return 0, 0, malformed("a line of the request's head ends without carriage return")
		case i > maxLineBytes:
			return 0, 0, tooLong(line)
		case stop+1 > most:
			return 0, 0, errHeadersTooLarge
		case i == 1:
			return stop + 1, 0, nil
		}
		line = stop + 1
	}
}

func tooLong(line int) error {
	if line == 0 {
		return errTargetTooLong
	}
	return errHeadersTooLarge
}

// parse reads a whole head: the request line, the header lines and the empty one.
// Names are put in lower case where they lie.
func (r *Request) parse(head []byte) error {
	r.HeadBytes = len(head)
	line, rest, _ := bytes.Cut(head, crlf)
	if err := r.parseLine(line); err != nil {
		return err
	}
	fields := r.Fields[:0]
	for {
		line, rest, _ = bytes.Cut(rest, crlf)
		if len(line) == 0 {
			break
		}
		if len(fields) == maxFields {
			return errHeadersTooLarge
		}
		f, err := parseField(line)
		if err != nil {
			return err
		}
		fields = append(fields, f)
	}
	r.Fields = fields
	return r.interpret()
}

// parseLine reads METHOD SP TARGET SP VERSION (RFC 9112, 3): single spaces, no
// others.
func (r *Request) parseLine(line []byte) error {
	method, rest, _ := bytes.Cut(line, space)
	target, version, ok := bytes.Cut(rest, space)
	if !ok || !isToken(method) {
		return malformed("the first line is not of the form METHOD TARGET HTTP/1.1")
	}
	switch {
	case string(version) == "HTTP/1.1":
		r.Minor = 1
	case string(version) == "HTTP/1.0":
		r.Minor = 0
	case isVersion(version):
		return errVersion
	default:
		return malformed("the first line does not end with HTTP/1.1")
	}
	if string(method) == http.MethodConnect {
		return errConnect
	}
	r.Method, r.Target = method, target
	return r.parseTarget()
}

var space = []byte(" ")

// isVersion reports whether v is the version of some HTTP.
func isVersion(v []byte) bool {
	return len(v) == len("HTTP/1.1") && string(v[:5]) == "HTTP/" && isDigit(v[5]) && v[6] == '.' && isDigit(v[7])
}

// parseField reads NAME ":" OWS VALUE OWS (RFC 9112, 5). A line that begins with a
// blank would continue the one before it (5.2), which no name does.
func parseField(line []byte) (Field, error) {
	i := 0
	for ; i < len(line) && tchar[line[i]]; i++ {
		if c := line[i]; 'A' <= c && c <= 'Z' {
			line[i] = c | 0x20
		}
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		return Field{}, malformed("a header line is not of the form NAME: VALUE")
	}
	value := trimBlanks(line[i+1:])
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return Field{}, malformed("a header's value has a control character in it")
		}
	}
	return Field{line[:i], value}, nil
}

// interpret draws from the header lines what the server itself acts on.
func (r *Request) interpret() error {
	r.expectsContinue, r.close, r.keepAlive = false, false, false
	var hosts, lengths, encodings int
	var length, encoding, host []byte
	for _, f := range r.Fields {
		switch string(f.Name) {
		case "host":
			hosts++
			host = f.Value
		case "content-length":
			lengths++
			length = f.Value
		case "transfer-encoding":
			encodings++
			encoding = f.Value
		case "connection":
			EachToken(f.Value, func(token []byte) {
				r.close = r.close || EqualFold(token, "close")
				r.keepAlive = r.keepAlive || EqualFold(token, "keep-alive")
			})
		case "expect":
			if !EqualFold(f.Value, "100-continue") {
				return errExpectation
			}
			r.expectsContinue = r.Minor > 0 // RFC 9110, 10.1.1
		}
	}
	if hosts > 1 || hosts == 0 && r.Minor == 1 || !validHost(host) {
		return malformed("a request has one valid Host header") // RFC 9112, 3.2
	}
	if r.Host == nil {
		r.Host = host
	}
	return r.frame(lengths, length, encodings, encoding)
}

// frame finds out how the body is delimited. Whatever another server could read
// in another way is refused (RFC 9112, 6.1 and 6.3).
func (r *Request) frame(lengths int, length []byte, encodings int, encoding []byte) error {
	switch {
	case encodings > 0 && lengths > 0:
		return malformed("a request has Content-Length or Transfer-Encoding, not both")
	case encodings > 0 && r.Minor == 0:
		return malformed("HTTP/1.0 has no Transfer-Encoding")
	case encodings > 1:
		return malformed("Transfer-Encoding is there more than once")
	case encodings == 1:
		if !EqualFold(encoding, "chunked") {
			return errEncoding
		}
		r.ContentLength = -1
		return nil
	case lengths > 1:
		return malformed("Content-Length is there more than once")
	case lengths == 1:
		n, ok := parseLength(length)
		if !ok {
			return malformed("Content-Length is not a number")
		}
		r.ContentLength = n
		return nil
	}
	r.ContentLength = 0
	return nil
}

// parseLength reads digits, nothing else; 18 of them fit an int64.
func parseLength(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
