package engine

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Change is what a watch delivers: a new value, a deletion, or the mark that
// the watch has caught up with the bucket.
type Change struct {
	Entry
	// Deleted tells that the key is gone; Value is empty.
	Deleted bool
	// CaughtUp comes once, after all the values that the bucket had when the
	// watch began; the rest of the change is empty.
	CaughtUp bool
	// Err is why the watch can't go on; it is the last change of its channel,
	// and the rest of it is empty.
	Err error
}

// replayStall is how long a watch waits for the next of the values that the
// bucket has. The store passes over a damaged value without a word, and then
// never says that all have come.
const replayStall = 10 * time.Second

// Watch delivers the newest value of every key, a change with CaughtUp set,
// and then every change in the order of revisions. The channel is closed when
// ctx is done or the engine is closed, and after a change with Err set:
// Unavailable/"StoreCorrupt" when a value can't be read. The receiver keeps up
// or the watch waits for it.
func (b *Bucket) Watch(ctx context.Context) (<-chan Change, error) {
	if err := b.e.track(); err != nil {
		return nil, err
	}
	w, err := b.kv.WatchAll(context.WithoutCancel(ctx))
	if err != nil {
		b.e.watches.Done()
		return nil, b.e.fault(err, "watch %s", b.name)
	}
	changes := make(chan Change)
	go func() { // Close waits for it
		defer b.e.watches.Done()
		defer close(changes)
		defer func() { _ = w.Stop() }() // the connection may be closed by now, and then nothing is left to stop
		b.relay(ctx, w.Updates(), changes)
	}()
	return changes, nil
}

// track counts a watch, so that Close waits for it.
func (e *Engine) track() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return err
	}
	e.watches.Add(1)
	return nil
}

// relay hands updates on until ctx is done, the engine is closed, or the store
// has stalled in the middle of what it has.
func (b *Bucket) relay(ctx context.Context, updates <-chan jetstream.KeyValueEntry, changes chan<- Change) {
	stall := time.NewTimer(b.e.stall)
	defer stall.Stop()
	for {
		var c Change
		select {
		case <-ctx.Done():
			return
		case <-b.e.done:
			return
		case <-stall.C:
			c.Err = corrupt(b.e.streamDir("KV_"+b.name), errors.New("a value can't be read"))
		case u, ok := <-updates:
			if !ok {
				return
			}
			c = change(u)
		}
		select {
		case <-ctx.Done():
			return
		case <-b.e.done:
			return
		case changes <- c:
		}
		switch {
		case c.Err != nil:
			return
		case c.CaughtUp:
			stall.Stop()
			stall.C = nil
		case stall.C != nil:
			stall.Reset(b.e.stall)
		}
	}
}

func change(u jetstream.KeyValueEntry) Change {
	if u == nil {
		return Change{CaughtUp: true}
	}
	return Change{
		Entry:   Entry{Key: u.Key(), Value: u.Value(), Revision: u.Revision()},
		Deleted: u.Operation() != jetstream.KeyValuePut,
	}
}
