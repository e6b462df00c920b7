package client

import (
	"bytes"
	"testing"
)

func FuzzReadEvents(f *testing.F) {
	for _, seed := range []string{
		"event: line\nid: 1\ndata: {}\n\n", ": comment\n\n", "data\n\n", "data:\ndata: a\n\n", "\n\n", "event:x\r\ndata:y\r\n\r\n", "data: cut",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		total := 0
		err := readEvents(bytes.NewReader(stream), func(_ string, data []byte) error {
			total += len(data)
			return nil
		})
		if err == nil {
			t.Error("a stream that ends is an error")
		}
		if total > len(stream) {
			t.Errorf("%d bytes of data from %d", total, len(stream))
		}
	})
}
