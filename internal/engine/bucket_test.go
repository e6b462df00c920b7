package engine_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/fault"
)

func TestBucketWrites(t *testing.T) {
	ctx := t.Context()
	b := bucket(t, start(t, t.TempDir()), "b")
	first, err := b.Create(ctx, "ns.f", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Create(ctx, "ns.f", []byte("2"))
	wantFault(t, err, fault.AlreadyExists, "KeyExists")
	second, err := b.Update(ctx, "ns.f", []byte("2"), first)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Update(ctx, "ns.f", []byte("3"), first)
	wantFault(t, err, fault.Conflict, "StaleRevision")
	got, err := b.Get(ctx, "ns.f")
	if err != nil {
		t.Fatal(err)
	}
	if want := (engine.Entry{Key: "ns.f", Value: []byte("2"), Revision: second}); !cmp.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	wantFault(t, b.DeleteRevision(ctx, "ns.f", first), fault.Conflict, "StaleRevision")
	if err := b.DeleteRevision(ctx, "ns.f", second); err != nil {
		t.Fatal(err)
	}
	_, err = b.Get(ctx, "ns.f")
	wantFault(t, err, fault.NotFound, "KeyNotFound")
	_, err = b.Update(ctx, "ns.f", []byte("4"), second)
	wantFault(t, err, fault.Conflict, "StaleRevision")
	if _, err := b.Create(ctx, "ns.f", []byte("again")); err != nil {
		t.Errorf("create after delete: %v", err)
	}
}

func TestKeysListsLiveKeysOnly(t *testing.T) {
	ctx := t.Context()
	b := bucket(t, start(t, t.TempDir()), "b")
	if keys, err := b.Keys(ctx); err != nil || len(keys) != 0 {
		t.Errorf("keys of an empty bucket: %v, %v", keys, err)
	}
	for _, k := range []string{"a", "b.x", "c"} {
		if _, err := b.Put(ctx, k, []byte(k)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(ctx, "never-was"); err != nil {
		t.Errorf("delete of a missing key: %v", err)
	}
	keys, err := b.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	if want := []string{"a", "b.x"}; !slices.Equal(keys, want) {
		t.Errorf("keys are %v, want %v", keys, want)
	}
}

func TestBadKeysAndValuesAreRefused(t *testing.T) {
	ctx := t.Context()
	b := bucket(t, start(t, t.TempDir()), "b")
	for _, key := range []string{"", ".", "a.", ".a", "a..b", "a b", "a>", "*", "a/b", "ä", strings.Repeat("k", 513)} {
		_, err := b.Put(ctx, key, nil)
		wantFault(t, err, fault.Invalid, "Key")
		_, err = b.Get(ctx, key)
		wantFault(t, err, fault.Invalid, "Key")
		wantFault(t, b.Delete(ctx, key), fault.Invalid, "Key")
	}
	_, err := b.Put(ctx, "k", make([]byte, engine.MaxValueBytes+1))
	wantFault(t, err, fault.TooLarge, "ValueTooLarge")
	big := bytes.Repeat([]byte("v"), engine.MaxValueBytes)
	if _, err := b.Put(ctx, "k", big); err != nil {
		t.Fatalf("put the largest value: %v", err)
	}
	if got, err := b.Get(ctx, "k"); err != nil || !bytes.Equal(got.Value, big) {
		t.Errorf("the largest value came back as %d bytes, %v", len(got.Value), err)
	}
}

func TestOneOfManyConcurrentWritersWins(t *testing.T) {
	b := bucket(t, start(t, t.TempDir()), "b")
	var wins atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := b.Create(t.Context(), "k", []byte("v"))
			if err == nil {
				wins.Add(1)
			} else if !fault.Is(err, fault.AlreadyExists, "KeyExists") {
				t.Errorf("create: %v", err)
			}
		})
	}
	all.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d creations succeeded, want 1", wins.Load())
	}
}

func TestWatchDeliversWhatIsThereAndWhatComes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := bucket(t, start(t, t.TempDir()), "b")
	for _, k := range []string{"a", "b", "gone"} {
		if _, err := b.Put(ctx, k, []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	changes, err := b.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	live := map[string]string{}
	for c := range changes {
		if c.CaughtUp {
			break
		}
		if !c.Deleted {
			live[c.Key] = string(c.Value)
		}
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "1"}, live); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	revision, err := b.Put(ctx, "a", []byte("2"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := <-changes, (engine.Change{Entry: engine.Entry{Key: "a", Value: []byte("2"), Revision: revision}}); !cmp.Equal(got, want) {
		t.Errorf("after a write: %+v, want %+v", got, want)
	}
	if err := b.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if got := <-changes; got.Key != "a" || !got.Deleted || got.Revision <= revision {
		t.Errorf("after a deletion: %+v", got)
	}
	cancel()
	for c := range changes {
		t.Errorf("after the end: %+v", c)
	}
}

func TestCloseEndsWatches(t *testing.T) {
	e := start(t, t.TempDir())
	b := bucket(t, e, "b")
	changes, err := b.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for c := range changes {
		if !c.CaughtUp {
			t.Errorf("change after close: %+v", c)
		}
	}
}

func BenchmarkBucketPut(b *testing.B) {
	e, err := engine.Start(b.Context(), engine.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	k, err := e.Bucket(b.Context(), "b")
	if err != nil {
		b.Fatal(err)
	}
	value := bytes.Repeat([]byte("v"), 1024)
	for b.Loop() {
		if _, err := k.Put(b.Context(), "k", value); err != nil {
			b.Fatal(err)
		}
	}
}
