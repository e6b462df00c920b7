package http1

// tchar are the characters that tokens are made of (RFC 9110, 5.6.2); hostChar
// those of a Host header, generously (RFC 3986, 3.2.2).
var (
	tchar    = charSet("!#$%&'*+-.^_`|~")
	hostChar = charSet("!$%&'()*+,-.:;=[]_~")
)

// charSet is the letters, the digits and more.
func charSet(more string) (set [256]bool) {
	for c := range 128 {
		set[c] = isDigit(byte(c)) || 'a' <= c|0x20 && c|0x20 <= 'z'
	}
	for i := range len(more) {
		set[more[i]] = true
	}
	return set
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// unhex returns the value of a hexadecimal digit; -1: it is none.
func unhex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func isToken[T string | []byte](b T) bool {
	for i := range len(b) {
		if !tchar[b[i]] {
			return false
		}
	}
	return len(b) > 0
}

func validHost(b []byte) bool {
	for _, c := range b {
		if !hostChar[c] {
			return false
		}
	}
	return true
}

// EqualFold reports whether b is lower, which is in lower case, but for the case
// of its ASCII letters.
func EqualFold[T string | []byte](b T, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range len(b) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
