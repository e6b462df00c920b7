package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mayfly.dev/mayfly/internal/fault"
)

// chunkBytes is the size of the messages that objects are stored in. Each is
// one sync, so that larger ones store faster.
const chunkBytes = 1 << 20

// Object describes a stored object.
type Object struct {
	Name      string
	SizeBytes int64
	Modified  time.Time
}

// Objects is a durable set of named byte streams of any size. An object that
// Put returned nil for is on the disk.
type Objects struct {
	e     *Engine
	name  string
	store jetstream.ObjectStore
}

// Objects opens the set of that name (letters, digits, - and _) and makes it
// if it is missing. It fails with Unavailable/"StoreCorrupt" when the disk has
// the set and it can't be read.
func (e *Engine) Objects(ctx context.Context, name string) (*Objects, error) {
	if !bucketPattern.MatchString(name) {
		return nil, fault.New(fault.Invalid, "BucketName", "the name %q of a set of objects is not valid: use 1 to 64 letters, digits, - and _", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return nil, err
	}
	if o := e.objects[name]; o != nil {
		return o, nil
	}
	o := &Objects{e: e, name: name}
	err := e.openStream(ctx, "OBJ_"+name, func() (err error) {
		o.store, err = e.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: name, Storage: jetstream.FileStorage})
		if err != nil {
			return e.fault(err, "open objects %s", name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := o.prune(ctx); err != nil {
		return nil, err
	}
	e.objects[name] = o
	return o, nil
}

// Put stores all that r gives under name, in place of what was there. sizeBytes
// is what r is expected to give, by which a full disk is seen beforehand.
func (o *Objects) Put(ctx context.Context, name string, r io.Reader, sizeBytes int64) error {
	if err := checkKey(name); err != nil {
		return err
	}
	if err := o.e.room(sizeBytes, writeReserve); err != nil {
		return err
	}
	meta := jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunkBytes}}
	if _, err := o.store.Put(ctx, meta, fullReader{r}); err != nil {
		return o.e.fault(err, "store %s in %s", name, o.name)
	}
	return nil
}

// Get opens the object of that name, or fails with NotFound/"ObjectNotFound".
// Reading is possible until ctx is done, and fails with
// Unavailable/"StoreCorrupt" at the end, or earlier, when what comes is not
// what was stored. The caller closes it.
func (o *Objects) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := checkKey(name); err != nil {
		return nil, err
	}
	info, err := o.store.GetInfo(ctx, name)
	if err != nil {
		return nil, o.missing(err, name)
	}
	return o.open(ctx, info)
}

// Stat describes the object of that name, or fails with
// NotFound/"ObjectNotFound".
func (o *Objects) Stat(ctx context.Context, name string) (Object, error) {
	if err := checkKey(name); err != nil {
		return Object{}, err
	}
	info, err := o.store.GetInfo(ctx, name)
	if err != nil {
		return Object{}, o.missing(err, name)
	}
	return object(info), nil
}

// Has reports whether there is an object of that name.
func (o *Objects) Has(ctx context.Context, name string) (bool, error) {
	_, err := o.Stat(ctx, name)
	if fault.Is(err, fault.NotFound, "ObjectNotFound") {
		return false, nil
	}
	return err == nil, err
}

// Delete removes the object of that name. That there is none is no error.
func (o *Objects) Delete(ctx context.Context, name string) error {
	if err := checkKey(name); err != nil {
		return err
	}
	if err := o.e.room(0, deleteReserve); err != nil {
		return err
	}
	err := o.store.Delete(ctx, name)
	if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return o.e.fault(err, "delete %s of %s", name, o.name)
	}
	return nil
}

// List describes the objects, in no order.
func (o *Objects) List(ctx context.Context) ([]Object, error) {
	infos, err := o.store.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, nil
	}
	if err != nil {
		return nil, o.e.fault(err, "list %s", o.name)
	}
	list := make([]Object, 0, len(infos))
	for _, info := range infos {
		list = append(list, object(info))
	}
	return list, nil
}

// prune removes the chunks of objects whose storing was cut off by the end of
// an earlier process. It runs before anything is stored by this one.
func (o *Objects) prune(ctx context.Context) error {
	infos, err := o.store.List(ctx, jetstream.ListObjectsShowDeleted())
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return o.e.fault(err, "list %s", o.name)
	}
	whole := map[string]bool{}
	for _, info := range infos {
		whole[info.NUID] = true
	}
	stream, err := o.e.js.Stream(ctx, "OBJ_"+o.name)
	if err != nil {
		return o.e.fault(err, "open objects %s", o.name)
	}
	prefix := chunkSubjects(o.name)
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(prefix+">"))
	if err != nil {
		return o.e.fault(err, "inspect objects %s", o.name)
	}
	for subject := range info.State.Subjects {
		if whole[strings.TrimPrefix(subject, prefix)] {
			continue
		}
		if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return o.e.fault(err, "prune objects %s", o.name)
		}
	}
	return nil
}

func (o *Objects) missing(err error, name string) error {
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return fault.Wrap(err, fault.NotFound, "ObjectNotFound", "there is no %s in %s", name, o.name)
	}
	return o.e.fault(err, "read %s of %s", name, o.name)
}

func object(info *jetstream.ObjectInfo) Object {
	return Object{Name: info.Name, SizeBytes: int64(info.Size), Modified: info.ModTime}
}

// fullReader fills the buffer of every read, since the store makes one synced
// message of each.
type fullReader struct{ r io.Reader }

func (f fullReader) Read(p []byte) (int, error) {
	n, err := io.ReadFull(f.r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read the object: %w", err)
	}
	return n, err
}
