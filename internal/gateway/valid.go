package gateway

// maxDepth is how deep JSON may be nested, as encoding/json has it.
const maxDepth = 10_000

// validJSON is [encoding/json.Valid], several times as fast: each reply goes
// through it, and most of a reply is one long string.
func validJSON(b []byte) bool {
	var few [64]byte
	v := checker{b: b, open: few[:0]}
	return v.document()
}

// checker walks JSON text. Its methods report false where the text is not valid.
type checker struct {
	b []byte
	i int
	// open are the objects and arrays around i, the outermost first.
	open []byte
}

func (v *checker) document() bool {
	for {
		// A value begins here.
		v.blanks()
		if v.i == len(v.b) {
			return false
		}
		switch c := v.b[v.i]; c {
		case '{', '[':
			if len(v.open) == maxDepth {
				return false
			}
			v.i++
			v.open = append(v.open, c)
			if v.blanks(); v.i < len(v.b) && v.b[v.i] == c+2 { // the closing ones stand two further in ASCII
				break
			}
			if c == '{' && !v.key() {
				return false
			}
			continue
		default:
			if !v.scalar(c) {
				return false
			}
		}
		if more, ok := v.behind(); !more || !ok {
			return ok
		}
	}
}

// behind goes on behind a value: it closes what ends here. more means that another
// value has to follow.
func (v *checker) behind() (more, ok bool) {
	for {
		v.blanks()
		if len(v.open) == 0 {
			return false, v.i == len(v.b)
		}
		if v.i == len(v.b) {
			return false, false
		}
		last := v.open[len(v.open)-1]
		switch v.b[v.i] {
		case ',':
			v.i++
			if last == '{' {
				v.blanks()
				return true, v.key()
			}
			return true, true
		case last + 2:
			v.i++
			v.open = v.open[:len(v.open)-1]
		default:
			return false, false
		}
	}
}

func (v *checker) blanks() {
	for v.i < len(v.b) {
		switch v.b[v.i] {
		case ' ', '\t', '\r', '\n':
			v.i++
		default:
			return
		}
	}
}

// key reads a member's name and the colon.
func (v *checker) key() bool {
	if !v.str() {
		return false
	}
	v.blanks()
	if v.i == len(v.b) || v.b[v.i] != ':' {
		return false
	}
	v.i++
	return true
}

func (v *checker) scalar(c byte) bool {
	switch c {
	case '"':
		return v.str()
	case 't':
		return v.word("true")
	case 'f':
		return v.word("false")
	case 'n':
		return v.word("null")
	}
	return v.number()
}

func (v *checker) word(w string) bool {
	if len(v.b)-v.i < len(w) || string(v.b[v.i:v.i+len(w)]) != w {
		return false
	}
	v.i += len(w)
	return true
}

// str reads a string. Bytes that are not UTF-8 are accepted, as by encoding/json.
func (v *checker) str() bool {
	if v.i == len(v.b) || v.b[v.i] != '"' {
		return false
	}
	for v.i++; v.i < len(v.b); v.i++ {
		c := v.b[v.i]
		if escapeCost[c] == 0 {
			continue
		}
		switch c {
		case '"':
			v.i++
			return true
		case '\\':
			if !v.escape() {
				return false
			}
		default:
			return false
		}
	}
	return false
}

// escape stops at the escape's last byte.
func (v *checker) escape() bool {
	v.i++
	if v.i == len(v.b) {
		return false
	}
	switch v.b[v.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		if len(v.b)-v.i <= 4 {
			return false
		}
		for _, c := range v.b[v.i+1 : v.i+5] {
			if unhex(c) < 0 {
				return false
			}
		}
		v.i += 4
		return true
	}
	return false
}

func (v *checker) number() bool {
	if v.at('-') {
		v.i++
	}
	if v.at('0') {
		v.i++
	} else if !v.digits() {
		return false
	}
	if v.at('.') {
		if v.i++; !v.digits() {
			return false
		}
	}
	if v.at('e') || v.at('E') {
		if v.i++; v.at('+') || v.at('-') {
			v.i++
		}
		return v.digits()
	}
	return true
}

func (v *checker) at(c byte) bool { return v.i < len(v.b) && v.b[v.i] == c }

// digits reads one or more.
func (v *checker) digits() bool {
	begin := v.i
	for v.i < len(v.b) && v.b[v.i]-'0' < 10 {
		v.i++
	}
	return v.i > begin
}

// unhex returns the value of a hexadecimal digit; -1: it is none.
func unhex(c byte) rune {
	switch {
	case c-'0' < 10:
		return rune(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return -1
}
