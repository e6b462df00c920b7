package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/nats-io/nats.go/jetstream"
)

// objectReader reads an object chunk by chunk, each with a request of its own,
// so that a reader which is slow or is given up holds nothing in the store.
type objectReader struct {
	ctx    context.Context //nolint:containedctx // io.Reader takes none, and a read is a call to the store
	o      *Objects
	info   *jetstream.ObjectInfo
	stream jetstream.Stream

	seq   uint64 // of the last chunk read
	read  uint32 // chunks read
	rest  []byte // of the last chunk
	sum   hash.Hash
	ended error // what every later Read answers
}

func (o *Objects) open(ctx context.Context, info *jetstream.ObjectInfo) (*objectReader, error) {
	stream, err := o.e.js.Stream(ctx, "OBJ_"+o.name)
	if err != nil {
		return nil, o.e.fault(err, "open objects %s", o.name)
	}
	return &objectReader{ctx: ctx, o: o, info: info, stream: stream, sum: sha256.New()}, nil
}

// Read implements [io.Reader].
func (r *objectReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && r.ended == nil {
		r.ended = r.next()
	}
	if len(r.rest) == 0 {
		return 0, r.ended
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close implements [io.Closer]; nothing is held that must be given back.
func (r *objectReader) Close() error {
	r.rest, r.ended = nil, errors.New("the object is closed")
	return nil
}

// next fetches the next chunk, or returns io.EOF after the last when all of
// them together are what was stored.
func (r *objectReader) next() error {
	if r.read == r.info.Chunks {
		want, err := jetstream.DecodeObjectDigest(r.info.Digest)
		if err != nil || !bytes.Equal(want, r.sum.Sum(nil)) {
			return r.damaged(errors.New("its digest is another"))
		}
		return io.EOF
	}
	m, err := r.stream.GetMsg(r.ctx, r.seq+1, jetstream.WithGetMsgSubject(chunkSubjects(r.o.name)+r.info.NUID))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return r.damaged(err)
	}
	if err != nil {
		return r.o.e.fault(err, "read %s of %s", r.info.Name, r.o.name)
	}
	r.seq, r.rest = m.Sequence, m.Data
	r.read++
	_, _ = r.sum.Write(m.Data) // a hash takes everything
	return nil
}

func (r *objectReader) damaged(err error) error {
	return corrupt(r.o.e.streamDir("OBJ_"+r.o.name), fmt.Errorf("chunk %d of %d of %s: %w", r.read, r.info.Chunks, r.info.Name, err))
}

// chunkSubjects is what the subjects of a set's chunks begin with.
func chunkSubjects(name string) string { return "$O." + name + ".C." }
