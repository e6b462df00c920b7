package engine

import (
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mayfly.dev/mayfly/internal/fault"
)

// markerTTL is how long the mark of a deleted key is kept for watchers that
// are behind; after that the key leaves nothing on the disk.
const markerTTL = time.Hour

var (
	bucketPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	keyPattern    = regexp.MustCompile(`^[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*$`)
)

// maxKeyBytes bounds a key.
const maxKeyBytes = 512

// Entry is the value of a key.
type Entry struct {
	Key   string
	Value []byte
	// Revision grows with every write to the bucket, whatever its key.
	Revision uint64
}

// Bucket is a durable map from keys to values of up to [MaxValueBytes]. A key
// is one or more words of letters, digits, - and _, joined by dots. A write
// that returned nil is on the disk.
type Bucket struct {
	e    *Engine
	name string
	kv   jetstream.KeyValue
}

// Bucket opens the bucket of that name (letters, digits, - and _) and makes it
// if it is missing. It fails with Unavailable/"StoreCorrupt" when the disk has
// the bucket and it can't be read.
func (e *Engine) Bucket(ctx context.Context, name string) (*Bucket, error) {
	if !bucketPattern.MatchString(name) {
		return nil, fault.New(fault.Invalid, "BucketName", "the bucket name %q is not valid: use 1 to 64 letters, digits, - and _", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return nil, err
	}
	if b := e.buckets[name]; b != nil {
		return b, nil
	}
	b := &Bucket{e: e, name: name}
	err := e.openStream(ctx, "KV_"+name, func() (err error) {
		b.kv, err = e.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: name, History: 1, Storage: jetstream.FileStorage,
			MaxValueSize: MaxValueBytes, LimitMarkerTTL: markerTTL,
		})
		if err != nil {
			return e.fault(err, "open bucket %s", name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	e.buckets[name] = b
	return b, nil
}

// Get returns the newest value of key, or NotFound/"KeyNotFound".
func (b *Bucket) Get(ctx context.Context, key string) (Entry, error) {
	if err := checkKey(key); err != nil {
		return Entry{}, err
	}
	got, err := b.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Entry{}, fault.Wrap(err, fault.NotFound, "KeyNotFound", "there is no %s in %s", key, b.name)
	}
	if err != nil {
		return Entry{}, b.e.fault(err, "read %s of %s", key, b.name)
	}
	return Entry{Key: key, Value: got.Value(), Revision: got.Revision()}, nil
}

// Create stores the value of a key that has none, or fails with
// AlreadyExists/"KeyExists".
func (b *Bucket) Create(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	if err := b.writable(key, value); err != nil {
		return 0, err
	}
	revision, err = b.kv.Create(ctx, key, value)
	if stale(err) {
		return 0, fault.Wrap(err, fault.AlreadyExists, "KeyExists", "there already is a %s in %s", key, b.name)
	}
	return revision, b.wrote(err, key)
}

// Update replaces the value that has the given revision. When the key has
// another by now, or none, it fails with Conflict/"StaleRevision".
func (b *Bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := b.writable(key, value); err != nil {
		return 0, err
	}
	next, err := b.kv.Update(ctx, key, value, revision)
	if stale(err) {
		return 0, b.conflict(err, key)
	}
	return next, b.wrote(err, key)
}

// Put stores the value of key, whatever it was.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	if err := b.writable(key, value); err != nil {
		return 0, err
	}
	revision, err = b.kv.Put(ctx, key, value)
	return revision, b.wrote(err, key)
}

// Delete removes key. That there is no such key is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	return b.remove(ctx, key)
}

// DeleteRevision removes key if its value has the given revision; else it
// fails with Conflict/"StaleRevision".
func (b *Bucket) DeleteRevision(ctx context.Context, key string, revision uint64) error {
	return b.remove(ctx, key, jetstream.LastRevision(revision))
}

func (b *Bucket) remove(ctx context.Context, key string, opts ...jetstream.KVDeleteOpt) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := b.e.room(0, deleteReserve); err != nil {
		return err
	}
	err := b.kv.Purge(ctx, key, append(opts, jetstream.PurgeTTL(markerTTL))...)
	if stale(err) {
		return b.conflict(err, key)
	}
	return b.wrote(err, key)
}

// Keys lists the keys, in no order.
func (b *Bucket) Keys(ctx context.Context) ([]string, error) {
	keys, err := b.kv.Keys(ctx, jetstream.IgnoreDeletes())
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, nil
	}
	if err != nil {
		return nil, b.e.fault(err, "list the keys of %s", b.name)
	}
	return keys, nil
}

func (b *Bucket) writable(key string, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(value) > MaxValueBytes {
		return fault.New(fault.TooLarge, "ValueTooLarge", "the value of %s takes %d bytes, more than %d", key, len(value), MaxValueBytes)
	}
	return b.e.room(int64(len(value)), writeReserve)
}

func (b *Bucket) wrote(err error, key string) error {
	if err == nil {
		return nil
	}
	return b.e.fault(err, "write %s of %s", key, b.name)
}

func (b *Bucket) conflict(err error, key string) error {
	return fault.Wrap(err, fault.Conflict, "StaleRevision", "%s was changed by somebody else meanwhile: read it again and repeat the change", key)
}

func checkKey(key string) error {
	if len(key) > maxKeyBytes || !keyPattern.MatchString(key) {
		return fault.New(fault.Invalid, "Key", "the key %q is not valid: use words of letters, digits, - and _, joined by dots, up to %d bytes", key, maxKeyBytes)
	}
	return nil
}

// stale reports whether a write was refused for the revision of its key.
func stale(err error) bool {
	if errors.Is(err, jetstream.ErrKeyExists) {
		return true
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == codeWrongLastSequence
}
