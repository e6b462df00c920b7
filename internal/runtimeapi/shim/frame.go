package shim

import (
	"encoding/binary"
	"errors"
	"fmt"
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
	frameInit      = 1  // platform: handler, environment, directories
	frameReady     = 2  // runtime: the handler is loaded
	frameInitError = 3  // runtime: it could not be loaded
	frameInvoke    = 4  // platform: an event
	frameResult    = 5  // runtime: its answer
	frameError     = 6  // runtime: its failure
	frameLog       = 7  // runtime: one log line or event
	frameStarted   = 8  // runtime: it runs and waits for an init frame
	frameFork      = 9  // platform, to a zygote: copy yourself
	frameReap      = 10 // platform, to a zygote: a copy has ended
)

const (
	flagStderr = 1 << 0 // of a log frame: the line belongs to standard error
	flagFatal  = 1 << 0 // of an error frame: the runtime ends after it
	flagWaits  = 1 << 0 // of an invoke frame: others are before it, its time begins later

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
	// kept says that nobody else will write to meta and payload; otherwise they
	// are the decoder's until its next read.
	kept bool
}

// tooLarge reports whether the payload was dropped for its size.
func (f *frame) tooLarge() bool { return f.size > len(f.payload) }

// own returns a payload that may be kept.
func (f *frame) own() []byte {
	if f.kept {
		return f.payload
	}
	return append(make([]byte, 0, len(f.payload)), f.payload...)
}

// putHeader writes the header of a frame that a platform sends.
func putHeader(b []byte, kind, flags uint8, invocation uint32, meta, payload int) {
	binary.BigEndian.PutUint32(b[0:], uint32(meta+payload))
	binary.BigEndian.PutUint32(b[4:], uint32(meta))
	binary.BigEndian.PutUint32(b[8:], invocation)
	binary.BigEndian.PutUint32(b[12:], uint32(kind)<<24|uint32(flags)<<16)
}

// parseHeader returns the frame that a header announces, and its bytes of meta.
func parseHeader(header []byte) (f frame, meta int, err error) {
	length := int64(binary.BigEndian.Uint32(header[0:]))
	metaBytes := int64(binary.BigEndian.Uint32(header[4:]))
	f = frame{invocation: binary.BigEndian.Uint32(header[8:]), kind: header[12], flags: header[13]}
	if metaBytes > length || metaBytes > maxMetaBytes || header[14] != 0 || header[15] != 0 {
		return f, 0, fmt.Errorf("%w: %d bytes of meta in %d bytes", errProtocol, metaBytes, length)
	}
	f.size = int(length - metaBytes)
	return f, int(metaBytes), f.check()
}

func (f *frame) check() error {
	known := uint8(0)
	switch f.kind {
	case frameStarted, frameReady, frameInitError, frameResult:
	case frameError:
		known = flagFatal
	case frameLog:
		known = flagStderr
		if f.size > maxLogBytes {
			return fmt.Errorf("%w: a log line of %d bytes", errProtocol, f.size)
		}
	default:
		return fmt.Errorf("%w: type %d", errProtocol, f.kind)
	}
	if f.flags&^known != 0 {
		return fmt.Errorf("%w: flags %#x of type %d", errProtocol, f.flags, f.kind)
	}
	return nil
}
