package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/fault"
)

// children are what the test binary does when a test starts it again as
// another process, by the name in childVariable.
const childVariable = "MAYFLY_ENGINE_TEST_CHILD"

var children = map[string]func(dir string){}

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childVariable)]; child != nil {
		child(os.Args[len(os.Args)-1])
		return
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, dir string) *engine.Engine {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{Dir: dir})
	if err != nil {
		t.Fatalf("start the engine: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close the engine: %v", err)
		}
	})
	return e
}

func bucket(t *testing.T, e *engine.Engine, name string) *engine.Bucket {
	t.Helper()
	b, err := e.Bucket(t.Context(), name)
	if err != nil {
		t.Fatalf("open bucket %s: %v", name, err)
	}
	return b
}

func wantFault(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if !fault.Is(err, kind, reason) {
		t.Errorf("error is %v, want %v/%s", err, kind, reason)
	}
}

func TestSecondEngineOnOneDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir)
	_, err := engine.Start(t.Context(), engine.Config{Dir: dir})
	wantFault(t, err, fault.Conflict, "DataDirInUse")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, dir)
}

func TestStartOnAFileFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := engine.Start(t.Context(), engine.Config{Dir: file})
	wantFault(t, err, fault.Unavailable, "StoreFailed")
}

func TestClosedEngineRefusesEverything(t *testing.T) {
	e := start(t, t.TempDir())
	b := bucket(t, e, "b")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, err := e.Bucket(ctx, "c")
	wantFault(t, err, fault.Unavailable, "EngineClosed")
	_, err = e.Objects(ctx, "c")
	wantFault(t, err, fault.Unavailable, "EngineClosed")
	_, err = b.Put(ctx, "k", nil)
	wantFault(t, err, fault.Unavailable, "EngineClosed")
	_, err = b.Get(ctx, "k")
	wantFault(t, err, fault.Unavailable, "EngineClosed")
	_, err = b.Watch(ctx)
	wantFault(t, err, fault.Unavailable, "EngineClosed")
}

func TestTwoEnginesInOneProcess(t *testing.T) {
	a, b := bucket(t, start(t, t.TempDir()), "x"), bucket(t, start(t, t.TempDir()), "x")
	if _, err := a.Put(t.Context(), "k", []byte("a")); err != nil {
		t.Fatal(err)
	}
	_, err := b.Get(t.Context(), "k")
	wantFault(t, err, fault.NotFound, "KeyNotFound")
}

func TestDamagedBucketIsNotReplacedByAnEmptyOne(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir)
	if _, err := bucket(t, e, "b").Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	meta := filepath.Join(dir, "jetstream", "$G", "streams", "KV_b", "meta.inf")
	if err := os.WriteFile(meta, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := start(t, dir).Bucket(t.Context(), "b")
	wantFault(t, err, fault.Unavailable, "StoreCorrupt")
}

func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		e, err := engine.Start(b.Context(), engine.Config{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
