package shim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// raw returns a frame as a shim sends it.
func raw(kind, flags uint8, invocation uint32, meta, payload string) string {
	b := appendHeader(nil, kind, invocation, len(meta), len(payload))
	b[13] = flags
	return string(b) + meta + payload
}

func TestDecoderReadsFrames(t *testing.T) {
	stream := raw(frameReady, 0, 0, "", "") + raw(frameLog, flagStderr, 7, "12345678", "text") +
		raw(frameError, flagFatal, 7, `{"errorType":"E"}`, "{}") + raw(frameResult, 0, 8, "", "null")
	// One byte at a time: frames come in any pieces.
	d := decoder{r: &oneByte{strings.NewReader(stream)}, maxPayload: 16}
	want := []frame{
		{kind: frameReady, payload: []byte{}},
		{kind: frameLog, flags: flagStderr, invocation: 7, meta: []byte("12345678"), payload: []byte("text"), size: 4},
		{kind: frameError, flags: flagFatal, invocation: 7, meta: []byte(`{"errorType":"E"}`), payload: []byte("{}"), size: 2},
		{kind: frameResult, invocation: 8, payload: []byte("null"), size: 4},
	}
	for _, w := range want {
		got, err := d.next()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w, got, cmp.AllowUnexported(frame{})); diff != "" {
			t.Errorf("frame (-want +got):\n%s", diff)
		}
	}
	if _, err := d.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v, want EOF", err)
	}
}

type oneByte struct{ r io.Reader }

func (o *oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func TestDecoderDropsAPayloadThatIsTooLarge(t *testing.T) {
	stream := raw(frameResult, 0, 1, "", strings.Repeat("x", 17)) + raw(frameResult, 0, 2, "", strings.Repeat("y", 16))
	d := decoder{r: strings.NewReader(stream), maxPayload: 16}
	f, err := d.next()
	if err != nil || !f.tooLarge() || f.size != 17 || f.payload != nil {
		t.Errorf("first: %+v, %v", f, err)
	}
	f, err = d.next()
	if err != nil || f.tooLarge() || len(f.payload) != 16 {
		t.Errorf("second: %+v, %v", f, err)
	}
}

func TestDecoderRefuses(t *testing.T) {
	header := func(length, meta uint32, kind, flags, zero uint8) string {
		b := binary.BigEndian.AppendUint32(nil, length)
		b = binary.BigEndian.AppendUint32(b, meta)
		return string(append(b, 0, 0, 0, 1, kind, flags, 0, zero))
	}
	tests := []struct {
		name, stream string
		want         error
	}{
		{"more meta than length", header(1, 2, frameResult, 0, 0), errProtocol},
		{"too much meta", header(maxMetaBytes+1, maxMetaBytes+1, frameResult, 0, 0), errProtocol},
		{"too long a log line", header(maxLogBytes+9, 8, frameLog, 0, 0), errProtocol},
		{"unknown type", header(0, 0, 9, 0, 0), errProtocol},
		{"type zero", header(0, 0, 0, 0, 0), errProtocol},
		{"a frame of the platform's", header(0, 0, frameInvoke, 0, 0), errProtocol},
		{"unknown flag", header(0, 0, frameResult, 1, 0), errProtocol},
		{"a byte that must be zero", header(0, 0, frameResult, 0, 1), errProtocol},
		{"end in the header", header(0, 0, frameResult, 0, 0)[:9], io.ErrUnexpectedEOF},
		{"end in the meta", header(8, 8, frameLog, 0, 0) + "1234", io.ErrUnexpectedEOF},
		{"end after the header", header(8, 0, frameResult, 0, 0), io.ErrUnexpectedEOF},
		{"end in a payload", header(8, 0, frameResult, 0, 0) + "1234", io.ErrUnexpectedEOF},
		{"end in a payload that is dropped", header(1<<31, 0, frameResult, 0, 0) + "1234", io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := decoder{r: strings.NewReader(tt.stream), maxPayload: 16}
			if f, err := d.next(); !errors.Is(err, tt.want) {
				t.Errorf("next: %+v, %v, want %v", f, err, tt.want)
			}
		})
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(raw(frameReady, 0, 0, "", "")))
	f.Add([]byte(raw(frameLog, flagStderr, 7, "12345678", "text") + raw(frameResult, 0, 8, "", "null")))
	f.Add([]byte(raw(frameError, flagFatal, 7, `{"errorType":"E"}`, "{}")))
	f.Add([]byte(raw(frameResult, 0, 8, "", strings.Repeat("x", 2000))))
	f.Add([]byte("garbage that is longer than a header"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		const limit = 1024
		d := decoder{r: bytes.NewReader(stream), maxPayload: limit}
		for {
			got, err := d.next()
			if err != nil {
				return
			}
			if len(got.payload) > limit || len(got.meta) > maxMetaBytes {
				t.Fatalf("%d bytes of payload, %d of meta", len(got.payload), len(got.meta))
			}
			if !got.tooLarge() && len(got.payload) != got.size {
				t.Fatalf("%d bytes of payload, %d announced", len(got.payload), got.size)
			}
		}
	})
}
