package native

import (
	"testing"

	"mayfly.dev/mayfly/internal/fault"
)

func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", cursor(functionCursor, "hello"), numberCursor(lineCursor, 7), "bDo", "!!", "bDotMQ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		n, err := numberPlace(lineCursor, word)
		switch {
		case err != nil && !fault.Is(err, fault.Invalid, "Cursor"):
			t.Errorf("got %v, want Invalid", err)
		case err == nil && n < 0:
			t.Errorf("got the place %d", n)
		case err == nil && word != "":
			if back, err := numberPlace(lineCursor, numberCursor(lineCursor, n)); err != nil || back != n {
				t.Errorf("%d comes back as %d, %v", n, back, err)
			}
		}
	})
}
