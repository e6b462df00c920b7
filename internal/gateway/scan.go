package gateway

import "bytes"

// The functions of this file walk JSON text that validJSON has accepted: replies
// are read where they lie, for a body of megabytes is most of one.

// each calls visit for the members of an object (key is its name in quotes) or
// for the elements of an array (key is nil). It reports whether container is
// one and visit was content with all of them. Null has no members.
func each(container []byte, kind byte, visit func(key, value []byte) bool) bool {
	if isNull(container) {
		return true
	}
	if container[0] != kind {
		return false
	}
	for i := 1; ; {
		i = skipBlanks(container, i)
		switch container[i] {
		case '}', ']':
			return true
		case ',':
			i++
			continue
		}
		var key []byte
		if kind == '{' {
			end := stringEnd(container, i)
			key = container[i:end]
			i = skipBlanks(container, skipBlanks(container, end)+1)
		}
		end := valueEnd(container, i)
		if !visit(key, container[i:end]) {
			return false
		}
		i = end
	}
}

func isNull(value []byte) bool { return len(value) == 0 || value[0] == 'n' }

func skipBlanks(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n' {
		i++
	}
	return i
}

// stringEnd returns where the string that begins at i ends.
func stringEnd(b []byte, i int) int {
	for i++; ; i++ {
		i += bytes.IndexByte(b[i:], '"')
		slashes := 0
		for b[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
}

// valueEnd returns where the value that begins at i ends.
func valueEnd(b []byte, i int) int {
	for depth := 0; ; {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		default:
			i++
			if depth == 0 { // a number or a word
				return i + wordEnd(b[i:])
			}
		}
		if depth == 0 {
			return i
		}
	}
}

func wordEnd(b []byte) int {
	if n := bytes.IndexAny(b, ",]} \t\r\n"); n >= 0 {
		return n
	}
	return len(b)
}
