package native

import (
	"encoding/base64"
	"strconv"
	"strings"

	"mayfly.dev/mayfly/internal/fault"
)

// The marks of cursors, so that one list's cursor is refused by another.
const (
	functionCursor = "f:"
	lineCursor     = "l:"
	recordCursor   = "r:"
)

// cursor makes an opaque word of a place in a list.
func cursor(mark, place string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(mark + place))
}

// place reads a cursor; "" stands for the beginning.
func place(mark, word string) (string, error) {
	if word == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(word)
	if err == nil {
		if p, ok := strings.CutPrefix(string(text), mark); ok {
			return p, nil
		}
	}
	return "", fault.New(fault.Invalid, "Cursor", "the cursor %q is not from this list: pass what the last page had as next", word)
}

func numberCursor(mark string, n int64) string {
	return cursor(mark, strconv.FormatInt(n, 10))
}

func numberPlace(mark, word string) (int64, error) {
	p, err := place(mark, word)
	if p == "" || err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(p, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.New(fault.Invalid, "Cursor", "the cursor %q is damaged: pass what the last page had as next", word)
	}
	return n, nil
}
