package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/engine/enginetest"
	"mayfly.dev/mayfly/internal/fault"
)

func init() { //nolint:gochecknoinits // a child has to be known before TestMain runs
	children["writer"] = writeForever
}

// writeForever writes keys and objects and prints each name once it was
// acknowledged, until it is killed.
func writeForever(dir string) {
	ctx := context.Background()
	e, err := engine.Start(ctx, engine.Config{Dir: dir})
	check(err)
	b, err := e.Bucket(ctx, "b")
	check(err)
	o, err := e.Objects(ctx, "code")
	check(err)
	for i := 0; ; i++ {
		name := fmt.Sprintf("k%d", i)
		if i%4 == 3 {
			check(o.Put(ctx, name, bytes.NewReader(randomBytes(100_000)), 100_000))
		} else {
			_, err := b.Create(ctx, name, []byte(name))
			check(err)
		}
		_, err = fmt.Println(name)
		check(err)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := enginetest.Kill(t, childVariable+"=writer", dir, 60)
	e := start(t, dir)
	b, o := bucket(t, e, "b"), objects(t, e)
	for i, name := range acknowledged {
		if i%4 == 3 {
			r, err := o.Get(t.Context(), name)
			if err != nil {
				t.Fatalf("object %s is lost: %v", name, err)
			}
			var got bytes.Buffer
			if _, err := got.ReadFrom(r); err != nil || !bytes.Equal(got.Bytes(), randomBytes(100_000)) {
				t.Errorf("object %s is damaged: %d bytes, %v", name, got.Len(), err)
			}
			continue
		}
		got, err := b.Get(t.Context(), name)
		if err != nil || string(got.Value) != name {
			t.Errorf("key %s is lost: %q, %v", name, got.Value, err)
		}
	}
	if _, err := b.Put(t.Context(), "after", nil); err != nil {
		t.Errorf("write after the crash: %v", err)
	}
}

func TestDamagedBucketIsNoticed(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir)
	b := bucket(t, e, "b")
	for i := range 5 {
		if _, err := b.Put(t.Context(), fmt.Sprintf("k%d", i), []byte(strings.Repeat("v", 50))); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	block := filepath.Join(dir, "jetstream", "$G", "streams", "KV_b", "msgs", "1.blk")
	whole, err := os.ReadFile(block)
	if err != nil {
		t.Fatal(err)
	}
	// damage in the last record can't be told from a torn write
	for at := 2; at < len(whole)-96; at += 37 {
		if err := os.WriteFile(block, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		flip(t, block, int64(at))
		if err := readAll(t, dir); !fault.Is(err, fault.Unavailable, "StoreCorrupt") {
			t.Errorf("damage at byte %d of %d: %v, want StoreCorrupt", at, len(whole), err)
		}
	}
}

// readAll opens the bucket b and reads all its values by a watch.
func readAll(t *testing.T, dir string) error {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer e.Close()
	engine.SetReplayStall(e, 100*time.Millisecond)
	b, err := e.Bucket(t.Context(), "b")
	if err != nil {
		return err
	}
	changes, err := b.Watch(t.Context())
	if err != nil {
		return err
	}
	values := 0
	for c := range changes {
		if c.Err != nil {
			return c.Err
		}
		if c.CaughtUp {
			return fmt.Errorf("%d values were read", values)
		}
		values++
	}
	return errors.New("the watch has ended")
}

func TestTornLastWriteIsForgotten(t *testing.T) {
	dir := t.TempDir()
	acknowledged := enginetest.Kill(t, childVariable+"=writer", dir, 20)
	block := filepath.Join(dir, "jetstream", "$G", "streams", "KV_b", "msgs", "1.blk")
	f, err := os.OpenFile(block, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{200, 0, 0, 0, 99, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b := bucket(t, start(t, dir), "b")
	for i, name := range acknowledged {
		if i%4 == 3 {
			continue
		}
		if _, err := b.Get(t.Context(), name); err != nil {
			t.Errorf("key %s is lost: %v", name, err)
		}
	}
}
