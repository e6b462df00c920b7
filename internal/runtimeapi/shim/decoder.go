package shim

// decoder takes apart what a runtime sends. Frames that lie whole in what was
// read are handled where they are; of one that does not, its bytes are gathered
// in a buffer of its size. It never holds more than one frame and bounds each by
// its type.
type decoder struct {
	// maxPayload bounds the answers' payloads in bytes.
	maxPayload int
	// handle is called with each frame.
	handle func(*frame) error

	header  [headerBytes]byte
	have    int    // bytes of the header that have come, when a frame is in parts
	partial []byte // of a frame in parts: meta and payload so far; its capacity is what it needs
	skip    int    // bytes of a payload that is dropped, still to come
	f       frame  // of a frame in parts, when its header is whole
	meta    int    // its bytes of meta
	direct  bool   // the next read goes into partial
}

// room returns where the next read should go: the frame in parts itself, or buf.
func (d *decoder) room(buf []byte) []byte {
	if d.direct = d.gathering() && d.skip == 0; d.direct {
		return d.partial[len(d.partial):cap(d.partial)]
	}
	return buf
}

// gathering reports whether the header of a frame in parts is there and some of
// what it keeps is not.
func (d *decoder) gathering() bool { return d.have == headerBytes && len(d.partial) < cap(d.partial) }

// took handles p, the bytes that were read to the beginning of what room
// returned.
func (d *decoder) took(p []byte) error {
	if d.direct {
		d.partial = d.partial[:len(d.partial)+len(p)]
		return d.finish()
	}
	for len(p) > 0 {
		n, err := d.step(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// step handles one frame at the beginning of p, or a part of one, and returns
// its length.
func (d *decoder) step(p []byte) (int, error) {
	switch {
	case d.gathering():
		n := min(cap(d.partial)-len(d.partial), len(p))
		d.partial = append(d.partial, p[:n]...)
		return n, d.finish()
	case d.skip > 0:
		n := min(d.skip, len(p))
		d.skip -= n
		return n, d.finish()
	case d.have > 0 || len(p) < headerBytes:
		n := copy(d.header[d.have:], p)
		if d.have += n; d.have < headerBytes {
			return n, nil
		}
		return n, d.begin(d.header[:])
	}
	f, meta, err := parseHeader(p)
	if err != nil {
		return 0, err
	}
	if end := headerBytes + meta + f.size; end <= len(p) && f.size <= d.maxPayload {
		f.meta, f.payload = p[headerBytes:headerBytes+meta:headerBytes+meta], p[headerBytes+meta:end:end]
		return end, d.handle(&f)
	}
	return headerBytes, d.begin(p)
}

// begin prepares for a frame whose bytes have not all come.
func (d *decoder) begin(header []byte) error {
	f, meta, err := parseHeader(header)
	if err != nil {
		return err
	}
	f.kept = true
	d.f, d.meta, d.have = f, meta, headerBytes
	size := meta + f.size
	if f.size > d.maxPayload {
		size, d.skip = meta, f.size
	}
	d.partial = make([]byte, 0, size)
	return d.finish()
}

// finish handles the frame in parts if all of it has come.
func (d *decoder) finish() error {
	if len(d.partial) < cap(d.partial) || d.skip > 0 {
		return nil
	}
	f := d.f
	f.meta, f.payload = d.partial[:d.meta:d.meta], d.partial[d.meta:]
	d.have, d.partial, d.f = 0, nil, frame{}
	return d.handle(&f)
}
