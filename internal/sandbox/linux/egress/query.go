package egress

import (
	"encoding/binary"
	"errors"
)

// Sizes of DNS messages, RFC 1035: the header, and what we take as a query.
const (
	headerSize   = 12
	maxQuerySize = 4096
	maxMessage   = 1<<16 - 1
)

// Response codes, RFC 1035 section 4.1.1.
const (
	codeFormat      = 1
	codeServer      = 2
	codeUnsupported = 4
	codeRefused     = 5
)

// Bits of the header's flags.
const (
	flagResponse  = 1 << 15
	flagRecursion = 1 << 8 // desired; copied into answers
	flagOffered   = 1 << 7 // recursion available
	opcodeMask    = 0xf << 11
)

// Query types that copy a whole zone: incremental and full transfer.
const (
	typeIXFR = 251
	typeAXFR = 252
)

// errNoQuery is what a message deserves that is not worth an answer.
var errNoQuery = errors.New("not a DNS query")

// query is a message of a sandbox that may be passed on.
type query struct {
	message []byte
	end     int // of the question
}

// parseQuery checks a message. A code other than zero is the answer that it
// gets instead of being passed on; an error means no answer.
func parseQuery(message []byte) (q query, code int, err error) {
	if len(message) < headerSize || len(message) > maxQuerySize {
		return q, 0, errNoQuery
	}
	flags := binary.BigEndian.Uint16(message[2:])
	if flags&flagResponse != 0 {
		return q, 0, errNoQuery
	}
	q = query{message: message, end: headerSize}
	if flags&opcodeMask != 0 {
		return q, codeUnsupported, nil
	}
	if binary.BigEndian.Uint16(message[4:]) != 1 {
		return q, codeFormat, nil
	}
	end, ok := skipName(message, headerSize)
	if !ok || end+4 > len(message) {
		return q, codeFormat, nil
	}
	q.end = end + 4
	if kind := binary.BigEndian.Uint16(message[end:]); kind == typeAXFR || kind == typeIXFR {
		return q, codeRefused, nil
	}
	return q, 0, nil
}

// skipName returns the offset after the uncompressed name at offset: the one
// name of a question has nothing before it to refer to.
func skipName(message []byte, offset int) (int, bool) {
	start := offset
	for offset < len(message) {
		n := int(message[offset])
		offset += 1 + n
		switch {
		case n == 0:
			return offset, offset-start <= 255
		case n > 63:
			return 0, false
		}
	}
	return 0, false
}

// answer is the reply that carries nothing but a code.
func (q query) answer(code int) []byte {
	reply := append([]byte(nil), q.message[:q.end]...)
	flags := binary.BigEndian.Uint16(reply[2:])
	flags = flagResponse | flags&(opcodeMask|flagRecursion) | flagOffered | uint16(code)
	binary.BigEndian.PutUint16(reply[2:], flags)
	questions := uint16(0)
	if q.end > headerSize {
		questions = 1
	}
	binary.BigEndian.PutUint16(reply[4:], questions)
	clear(reply[6:headerSize]) // answers, authorities, additional records
	return reply
}

// answers reports whether reply is a response to the query.
func (q query) answeredBy(reply []byte) bool {
	return len(reply) >= headerSize && reply[0] == q.message[0] && reply[1] == q.message[1] &&
		binary.BigEndian.Uint16(reply[2:])&flagResponse != 0
}
