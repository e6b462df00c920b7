package engine_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/fault"
)

func objects(t *testing.T, e *engine.Engine) *engine.Objects {
	t.Helper()
	o, err := e.Objects(t.Context(), "code")
	if err != nil {
		t.Fatalf("open objects: %v", err)
	}
	return o
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(b)
	return b
}

func TestObjectsComeBackByteForByte(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	e := start(t, dir)
	o := objects(t, e)
	sizes := map[string]int{"empty": 0, "small": 10, "chunk": 1 << 20, "large": 5<<20 + 7}
	for name, size := range sizes {
		if err := o.Put(ctx, name, iotest.HalfReader(bytes.NewReader(randomBytes(size))), int64(size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	o = objects(t, start(t, dir))
	for name, size := range sizes {
		r, err := o.Get(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, randomBytes(size)) {
			t.Errorf("%s came back as %d bytes, %v", name, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if s, err := o.Stat(ctx, name); err != nil || s.SizeBytes != int64(size) || s.Modified.IsZero() {
			t.Errorf("stat of %s is %+v, %v", name, s, err)
		}
	}
}

func TestDeletedObjectsAreGone(t *testing.T) {
	ctx := t.Context()
	o := objects(t, start(t, t.TempDir()))
	for _, name := range []string{"a", "b"} {
		if err := o.Put(ctx, name, bytes.NewReader([]byte(name)), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := o.Delete(ctx, "a"); err != nil {
		t.Errorf("second deletion: %v", err)
	}
	_, err := o.Get(ctx, "a")
	wantFault(t, err, fault.NotFound, "ObjectNotFound")
	if has, err := o.Has(ctx, "a"); has || err != nil {
		t.Errorf("has a: %v, %v", has, err)
	}
	if has, err := o.Has(ctx, "b"); !has || err != nil {
		t.Errorf("has b: %v, %v", has, err)
	}
	list, err := o.List(ctx)
	if err != nil || len(list) != 1 || list[0].Name != "b" {
		t.Errorf("list is %+v, %v", list, err)
	}
	if err := o.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if list, err := o.List(ctx); err != nil || len(list) != 0 {
		t.Errorf("list of none is %+v, %v", list, err)
	}
}

func TestFailedPutLeavesTheObjectThatWasThere(t *testing.T) {
	ctx := t.Context()
	o := objects(t, start(t, t.TempDir()))
	if err := o.Put(ctx, "a", bytes.NewReader([]byte("old")), 3); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the client went away")
	r := io.MultiReader(bytes.NewReader(randomBytes(3<<20)), iotest.ErrReader(broken))
	if err := o.Put(ctx, "a", r, 3<<20); !errors.Is(err, broken) {
		t.Fatalf("put of a broken reader: %v", err)
	}
	got, err := o.Get(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if b, err := io.ReadAll(got); err != nil || string(b) != "old" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestDamagedObjectFailsToRead(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	e := start(t, dir)
	if err := objects(t, e).Put(ctx, "a", bytes.NewReader(randomBytes(3<<20)), 3<<20); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(dir, "jetstream", "$G", "streams", "OBJ_code", "msgs", "1.blk"), 1<<20)
	o, err := start(t, dir).Objects(ctx, "code")
	if err != nil {
		return // seen at start
	}
	r, err := o.Get(ctx, "a")
	if err != nil {
		return // seen when opened
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err == nil {
		t.Errorf("a damaged object came back as %d bytes without an error", len(b))
	}
}

func flip(t *testing.T, file string, at int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("damage"), at); err != nil {
		t.Fatal(err)
	}
}
