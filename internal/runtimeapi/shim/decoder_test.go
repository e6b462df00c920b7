package shim

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// raw returns a frame as a shim sends it.
func raw(kind, flags uint8, invocation uint32, meta, payload string) string {
	b := make([]byte, headerBytes)
	putHeader(b, kind, flags, invocation, len(meta), len(payload))
	return string(b) + meta + payload
}

// decodeAll hands stream to a decoder in pieces of a size, by way of a buffer
// that is overwritten between them, and returns the frames.
func decodeAll(stream string, limit, piece int) (frames []frame, err error) {
	d := decoder{maxPayload: limit, handle: func(f *frame) error {
		whole := *f
		whole.meta, whole.payload, whole.kept = slices.Clone(f.meta), slices.Clone(f.payload), false
		frames = append(frames, whole)
		return nil
	}}
	buf := make([]byte, piece)
	for len(stream) > 0 && err == nil {
		p := d.room(buf)
		n := copy(p[:min(len(p), piece)], stream)
		err = d.took(p[:n])
		stream = stream[n:]
		clear(buf)
	}
	return frames, err
}

func TestDecoderReadsFramesInPiecesOfAnySize(t *testing.T) {
	stream := raw(frameStarted, 0, 0, "", "") + raw(frameReady, 0, 0, "", "") +
		raw(frameLog, flagStderr, 7, "12345678", "text") + raw(frameError, flagFatal, 7, `{"errorType":"E"}`, "{}") +
		raw(frameResult, 0, 9, "", strings.Repeat("x", 17)) + raw(frameResult, 0, 8, "", "null")
	want := []frame{
		{kind: frameStarted},
		{kind: frameReady},
		{kind: frameLog, flags: flagStderr, invocation: 7, meta: []byte("12345678"), payload: []byte("text"), size: 4},
		{kind: frameError, flags: flagFatal, invocation: 7, meta: []byte(`{"errorType":"E"}`), payload: []byte("{}"), size: 2},
		{kind: frameResult, invocation: 9, size: 17}, // too large: dropped
		{kind: frameResult, invocation: 8, payload: []byte("null"), size: 4},
	}
	for piece := 1; piece <= len(stream); piece++ {
		got, err := decodeAll(stream, 16, piece)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if len(got[i].meta) == 0 {
				got[i].meta = nil
			}
			if len(got[i].payload) == 0 {
				got[i].payload = nil
			}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(frame{})); diff != "" {
			t.Fatalf("frames in pieces of %d bytes (-want +got):\n%s", piece, diff)
		}
	}
}

func TestDecoderRefuses(t *testing.T) {
	header := func(length, meta uint32, kind, flags, zero uint8) string {
		b := binary.BigEndian.AppendUint32(nil, length)
		b = binary.BigEndian.AppendUint32(b, meta)
		return string(append(b, 0, 0, 0, 1, kind, flags, 0, zero))
	}
	tests := map[string]string{
		"more meta than length":     header(1, 2, frameResult, 0, 0),
		"too much meta":             header(maxMetaBytes+1, maxMetaBytes+1, frameResult, 0, 0),
		"too long a log line":       header(maxLogBytes+9, 8, frameLog, 0, 0),
		"unknown type":              header(0, 0, 9, 0, 0),
		"type zero":                 header(0, 0, 0, 0, 0),
		"a frame of the platform's": header(0, 0, frameInvoke, 0, 0),
		"unknown flag":              header(0, 0, frameResult, 1, 0),
		"a byte that must be zero":  header(0, 0, frameResult, 0, 1),
	}
	for name, stream := range tests {
		for _, piece := range []int{1, headerBytes} {
			if f, err := decodeAll(stream, 16, piece); !errors.Is(err, errProtocol) || len(f) > 0 {
				t.Errorf("%s in pieces of %d: %+v, %v, want %v", name, piece, f, err, errProtocol)
			}
		}
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(raw(frameReady, 0, 0, "", "")), uint16(7))
	f.Add([]byte(raw(frameLog, flagStderr, 7, "12345678", "text")+raw(frameResult, 0, 8, "", "null")), uint16(1))
	f.Add([]byte(raw(frameError, flagFatal, 7, `{"errorType":"E"}`, "{}")), uint16(100))
	f.Add([]byte(raw(frameResult, 0, 8, "", strings.Repeat("x", 2000))), uint16(64))
	f.Add([]byte("garbage that is longer than a header"), uint16(16))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16) {
		const limit = 1024
		got, gotErr := decodeAll(string(stream), limit, int(piece%4096)+1)
		want, wantErr := decodeAll(string(stream), limit, len(stream)+1)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(frame{}), cmp.Transformer("text", func(b []byte) string { return string(b) })); diff != "" {
			t.Errorf("frames at once and in pieces (-once +pieces):\n%s", diff)
		}
		if errors.Is(gotErr, errProtocol) != errors.Is(wantErr, errProtocol) {
			t.Errorf("at once %v, in pieces %v", wantErr, gotErr)
		}
		for _, f := range got {
			if len(f.payload) > limit || len(f.meta) > maxMetaBytes || !f.tooLarge() && len(f.payload) != f.size {
				t.Errorf("%d bytes of payload of %d, %d of meta", len(f.payload), f.size, len(f.meta))
			}
		}
	})
}
