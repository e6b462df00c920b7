package shim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The layout of a frame's header, all numbers big-endian:
//
//	0  uint32  bytes after the header: meta and payload
//	4  uint32  bytes of meta
//	8  uint32  invocation, 0: none
//	12 uint8   type
//	13 uint8   flags
//	14 uint16  zero
//
// docs/runtime-contract.md specifies the frames.
const headerBytes = 16

// The types of frames. What the platform sends has no business in the other
// direction.
const (
	frameInit      = 1 // platform: handler, environment, directories
	frameReady     = 2 // runtime: the handler is loaded
	frameInitError = 3 // runtime: it could not be loaded
	frameInvoke    = 4 // platform: an event
	frameResult    = 5 // runtime: its answer
	frameError     = 6 // runtime: its failure
	frameLog       = 7 // runtime: one log line or event
	frameStarted   = 8 // runtime: it runs and waits for an init frame
)

const (
	flagStderr = 1 << 0 // of a log frame: the line belongs to standard error
	flagFatal  = 1 << 0 // of an error frame: the runtime ends after it

	// maxMetaBytes bounds the meta part of every frame.
	maxMetaBytes = 64 << 10
	// maxLogBytes bounds the text of a log frame; the shims cut longer text.
	maxLogBytes = 256 << 10
)

// errProtocol says that the other side does not speak the protocol, which only
// happens if user code wrote to the shim's descriptor.
var errProtocol = errors.New("broken frame")

// frame is one decoded frame. A payload over the limit of its type is dropped
// and leaves payload nil and size the true size.
type frame struct {
	kind       uint8
	flags      uint8
	invocation uint32
	meta       []byte
	payload    []byte
	size       int
}

// tooLarge reports whether the payload was dropped for its size.
func (f *frame) tooLarge() bool { return f.size > len(f.payload) }

// appendHeader appends the header of a frame that a platform sends.
func appendHeader(b []byte, kind uint8, invocation uint32, meta, payload int) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(meta+payload))
	b = binary.BigEndian.AppendUint32(b, uint32(meta))
	b = binary.BigEndian.AppendUint32(b, invocation)
	return append(b, kind, 0, 0, 0)
}

// decoder reads the frames that a runtime sends. It never holds more than one
// frame and bounds each by its type.
type decoder struct {
	r io.Reader
	// maxPayload bounds the answers' payloads in bytes.
	maxPayload int
	header     [headerBytes]byte
}

// next reads one frame. It returns io.EOF at the end between two frames,
// errProtocol for what no shim sends, and the reader's error otherwise. The
// frame's slices are the caller's.
func (d *decoder) next() (frame, error) {
	if _, err := io.ReadFull(d.r, d.header[:]); err != nil {
		return frame{}, err
	}
	length := int64(binary.BigEndian.Uint32(d.header[0:]))
	meta := int64(binary.BigEndian.Uint32(d.header[4:]))
	f := frame{
		invocation: binary.BigEndian.Uint32(d.header[8:]),
		kind:       d.header[12],
		flags:      d.header[13],
	}
	if err := d.check(&f, length, meta); err != nil {
		return frame{}, err
	}
	f.size = int(length - meta)
	if meta > 0 {
		f.meta = make([]byte, meta)
		if _, err := io.ReadFull(d.r, f.meta); err != nil {
			return frame{}, unexpected(err)
		}
	}
	return f, d.payload(&f)
}

func (d *decoder) check(f *frame, length, meta int64) error {
	if meta > length || meta > maxMetaBytes || d.header[14] != 0 || d.header[15] != 0 {
		return fmt.Errorf("%w: %d bytes of meta in %d bytes", errProtocol, meta, length)
	}
	known := uint8(0)
	switch f.kind {
	case frameStarted, frameReady, frameInitError, frameResult:
	case frameError:
		known = flagFatal
	case frameLog:
		known = flagStderr
		if length-meta > maxLogBytes {
			return fmt.Errorf("%w: a log line of %d bytes", errProtocol, length-meta)
		}
	default:
		return fmt.Errorf("%w: type %d", errProtocol, f.kind)
	}
	if f.flags&^known != 0 {
		return fmt.Errorf("%w: flags %#x of type %d", errProtocol, f.flags, f.kind)
	}
	return nil
}

// payload reads f.size bytes, or drops them if they are too many.
func (d *decoder) payload(f *frame) error {
	if f.size > d.maxPayload {
		_, err := io.CopyN(io.Discard, d.r, int64(f.size))
		return unexpected(err)
	}
	f.payload = make([]byte, f.size)
	_, err := io.ReadFull(d.r, f.payload)
	return unexpected(err)
}

// unexpected keeps an end inside a frame apart from an end between frames.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
