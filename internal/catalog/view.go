package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/function"
)

// key names a function.
type key struct{ namespace, name string }

// String is the key that the function has on the engine: neither part can have
// a dot in it.
func (k key) String() string { return k.namespace + "." + k.name }

func parseKey(s string) key {
	namespace, name, _ := strings.Cut(s, ".")
	return key{namespace, name}
}

// record is a function and the engine's revision of it.
type record struct {
	f        *function.Function
	revision uint64
}

// listing is all functions sorted by namespace and name, as of a generation.
type listing struct {
	generation uint64
	functions  []*function.Function
}

// view is all functions in memory. Reads take no lock; there is one writer.
type view struct {
	functions *table[key, record]
	urls      *table[string, key]
	// generation counts the changes; listed is sorted when it is asked for.
	generation atomic.Uint64
	listed     atomic.Pointer[listing]

	mu       sync.Mutex // guards revision and changed
	revision uint64     // the last that was applied
	changed  chan struct{}
}

func newView() *view {
	v := &view{functions: newTable[key, record](), urls: newTable[string, key](), changed: make(chan struct{})}
	v.listed.Store(&listing{})
	return v
}

func (v *view) function(k key) *function.Function {
	r, _ := v.functions.load(k)
	return r.f
}

func (v *view) functionByURL(id string) *function.Function {
	k, ok := v.urls.load(id)
	if !ok {
		return nil
	}
	f := v.function(k)
	if f == nil || f.URL == nil || f.URL.ID != id {
		return nil // it is just changing
	}
	return f
}

// set replaces what k is; nil removes it. It returns what it was.
func (v *view) set(k key, f *function.Function, revision uint64) (old *function.Function) {
	old = v.function(k)
	if f == nil {
		v.functions.remove(k)
	} else {
		v.functions.store(k, record{f, revision})
	}
	if had, has := urlID(old), urlID(f); had != has {
		if had != "" {
			v.urls.remove(had)
		}
		if has != "" {
			v.urls.store(has, k)
		}
	}
	v.generation.Add(1)
	return old
}

func urlID(f *function.Function) string {
	if f == nil || f.URL == nil {
		return ""
	}
	return f.URL.ID
}

// applied notes that the view shows everything up to revision, and wakes those
// who wait for it.
func (v *view) applied(revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revision = max(v.revision, revision)
	close(v.changed)
	v.changed = make(chan struct{})
}

// progress returns the last revision applied, and a channel that is closed
// when there is another.
func (v *view) progress() (revision uint64, next <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.revision, v.changed
}

// list returns all functions, sorted. A change that comes meanwhile makes the
// next call sort again.
func (v *view) list() []*function.Function {
	generation := v.generation.Load()
	if l := v.listed.Load(); l.generation == generation {
		return l.functions
	}
	var all []*function.Function
	for r := range v.functions.values {
		all = append(all, r.f)
	}
	slices.SortFunc(all, func(a, b *function.Function) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	v.listed.Store(&listing{generation, all})
	return all
}

func (v *view) page(namespace, after string, limit int) (fs []*function.Function, more bool) {
	all := v.list()
	from := sort.Search(len(all), func(i int) bool {
		return all[i].Namespace > namespace || all[i].Namespace == namespace && all[i].Name > after
	})
	to := sort.Search(len(all), func(i int) bool { return all[i].Namespace > namespace })
	if to-from > max(limit, 0) {
		to, more = from+max(limit, 0), true
	}
	return slices.Clone(all[from:to]), more
}

// follow applies the changes of the engine until the catalog or the engine is
// closed.
func (c *Catalog) follow(changes <-chan engine.Change) {
	defer close(c.stopped)
	for change := range changes {
		if change.Err != nil {
			c.log.Error("functions can't be followed", slog.Any("err", change.Err))
			return
		}
		c.apply(change)
	}
}

// apply shows a change to readers, then to listeners, and then to the writer
// that waits for it.
func (c *Catalog) apply(change engine.Change) {
	k := parseKey(change.Key)
	var f *function.Function
	if !change.Deleted {
		f = new(function.Function)
		if err := json.Unmarshal(change.Value, f); err != nil {
			c.log.Error("function can't be read", slog.String("function", change.Key), slog.Any("err", err))
			f = nil
		}
	}
	old := c.view.set(k, f, change.Revision)
	c.keepReplaced(old, f)
	if f != nil && unsettled(f) {
		c.queue.add(k)
	}
	if old != nil || f != nil {
		for _, changed := range *c.listeners.Load() {
			changed(old, f)
		}
	}
	c.view.applied(change.Revision)
}

// unsettled reports whether something of f is still being prepared.
func unsettled(f *function.Function) bool { return f.State == function.Pending || f.Next != nil }

// await waits until done, which is asked after every change.
func (c *Catalog) await(ctx context.Context, done func() bool) error {
	for {
		_, next := c.view.progress()
		if done() {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.stopped:
			return errClosed(true)
		}
	}
}

// awaitRevision waits until reads show what the engine has at revision.
func (c *Catalog) awaitRevision(ctx context.Context, revision uint64) error {
	return c.await(ctx, func() bool {
		applied, _ := c.view.progress()
		return applied >= revision
	})
}
