package gateway

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote returns what a string says, without copying if it has no escapes.
func unquote(value []byte) []byte {
	if inner := value[1 : len(value)-1]; isPlain(inner) {
		return inner
	}
	return appendUnquoted(nil, value)
}

// isPlain reports whether the inside of a string says what stands there.
func isPlain(inner []byte) bool { return bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) }

// appendUnquoted appends what a valid string says. What is not UTF-8, or half of a
// surrogate pair, becomes the replacement character, as encoding/json has it.
func appendUnquoted(b, value []byte) []byte {
	for inner := value[1 : len(value)-1]; ; {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 {
			return appendText(b, inner)
		}
		b = appendText(b, inner[:i])
		c := inner[i+1]
		inner = inner[i+2:]
		switch c {
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case 'r':
			b = append(b, '\r')
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'u':
			var r rune
			r, inner = cutRune(inner)
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, c)
		}
	}
}

func appendText(b, text []byte) []byte {
	if utf8.Valid(text) {
		return append(b, text...)
	}
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		b = utf8.AppendRune(b, r)
		text = text[size:]
	}
	return b
}

// cutRune reads the four digits behind \u, and the second half of a pair.
func cutRune(inner []byte) (rune, []byte) {
	r := hex4(inner)
	inner = inner[4:]
	if !utf16.IsSurrogate(r) {
		return r, inner
	}
	if len(inner) >= 6 && inner[0] == '\\' && inner[1] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(inner[2:])); pair != utf8.RuneError {
			return pair, inner[6:]
		}
	}
	return utf8.RuneError, inner
}

func hex4(b []byte) rune {
	return unhex(b[0])<<12 | unhex(b[1])<<8 | unhex(b[2])<<4 | unhex(b[3])
}
