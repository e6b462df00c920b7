package gateway

import "unicode/utf8"

// appendMember writes "name":"value".
func appendMember[T string | []byte](b []byte, name string, value T) []byte {
	b = append(appendString(b, name), ':')
	return appendString(b, value)
}

// appendString writes s as a JSON string. Bytes that are not UTF-8 become the
// replacement character, as encoding/json has it.
func appendString[T string | []byte](b []byte, s T) []byte {
	return append(appendInner(append(b, '"'), s), '"')
}

// appendInner writes what stands between the quotes.
func appendInner[T string | []byte](b []byte, s T) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		b = appendEscape(append(b, s[start:i]...), c)
		i++
		start = i
	}
	return append(b, s[start:]...)
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	default:
		const hex = "0123456789abcdef"
		return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
	}
}
