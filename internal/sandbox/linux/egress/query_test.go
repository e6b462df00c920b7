package egress

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// plainQuery asks for the address of a.test.
var plainQuery = []byte("\x10\x92\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01")

func TestQueries(t *testing.T) {
	with := func(change func(m []byte) []byte) []byte { return change(bytes.Clone(plainQuery)) }
	set := func(at int, b ...byte) func([]byte) []byte {
		return func(m []byte) []byte { copy(m[at:], b); return m }
	}
	for name, c := range map[string]struct {
		message []byte
		code    int
		drop    bool
	}{
		"plain":          {message: plainQuery},
		"with options":   {message: append(with(set(11, 1)), "\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"...)},
		"empty":          {message: nil, drop: true},
		"short":          {message: plainQuery[:11], drop: true},
		"long":           {message: append(bytes.Clone(plainQuery), make([]byte, maxQuerySize)...), drop: true},
		"response":       {message: with(set(2, 0x81)), drop: true},
		"update":         {message: with(set(2, 5<<3)), code: codeUnsupported},
		"no question":    {message: with(set(5, 0)), code: codeFormat},
		"two questions":  {message: with(set(5, 2)), code: codeFormat},
		"cut off":        {message: plainQuery[:len(plainQuery)-1], code: codeFormat},
		"cut off name":   {message: plainQuery[:14], code: codeFormat},
		"pointer":        {message: with(set(12, 0xc0)), code: codeFormat},
		"whole zone":     {message: with(set(21, typeAXFR)), code: codeRefused},
		"changed zone":   {message: with(set(21, typeIXFR)), code: codeRefused},
		"name too long":  {message: with(func(m []byte) []byte { return longName(m) }), code: codeFormat},
		"recursion only": {message: with(set(2, 1, 0))},
	} {
		t.Run(name, func(t *testing.T) {
			q, code, err := parseQuery(c.message)
			if (err != nil) != c.drop || code != c.code {
				t.Fatalf("parseQuery = %d, %v, want %d, dropped %v", code, err, c.code, c.drop)
			}
			if err == nil && !q.answeredBy(q.answer(code)) {
				t.Errorf("the answer %x is not one to %x", q.answer(code), c.message)
			}
		})
	}
}

// longName asks for a name of 5 labels of 63 characters.
func longName(m []byte) []byte {
	m = m[:headerSize]
	for range 5 {
		m = append(append(m, 63), bytes.Repeat([]byte{'x'}, 63)...)
	}
	return append(m, 0, 0, 1, 0, 1)
}

func TestAnswerCarriesTheQuestionAlone(t *testing.T) {
	q, _, err := parseQuery(append(bytes.Clone(plainQuery), "trailing"...))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(plainQuery)
	want[2], want[3] = 0x81, 0x82
	if got := q.answer(codeServer); !bytes.Equal(got, want) {
		t.Errorf("answer = %x, want %x", got, want)
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add(plainQuery)
	f.Add(plainQuery[:14])
	f.Add(longName(bytes.Clone(plainQuery)))
	f.Fuzz(func(t *testing.T, message []byte) {
		q, code, err := parseQuery(message)
		if err != nil {
			return
		}
		reply := q.answer(code)
		if len(reply) < headerSize || len(reply) > len(message) || !q.answeredBy(reply) {
			t.Errorf("answer %x to %x", reply, message)
		}
		if code == 0 && binary.BigEndian.Uint16(message[2:])&opcodeMask != 0 {
			t.Errorf("%x would be passed on", message)
		}
	})
}
