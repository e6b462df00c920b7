package catalog_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// has reports whether the node has the package, and has it unpacked.
func (n *node) has(t *testing.T, code function.Code) (stored, unpacked bool) {
	t.Helper()
	r, err := n.CodeZip(t.Context(), code.SHA256)
	if err == nil {
		stored = true
		err = r.Close()
	}
	if err != nil && !fault.Is(err, fault.NotFound, "CodeNotFound") {
		t.Fatal(err)
	}
	_, err = os.Stat(filepath.Join(n.dir, "code", code.SHA256))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return stored, err == nil
}

func (n *node) sweep(t *testing.T, in time.Duration) {
	t.Helper()
	if err := catalog.SweepAt(t.Context(), n.Catalog, time.Now().Add(in)); err != nil {
		t.Fatal(err)
	}
}

func TestUnUsedCodeIsRemovedAfterItsGrace(t *testing.T) {
	n := run(t, t.TempDir())
	used, unused := n.put(t, "used"), n.put(t, "unused")
	n.create(t, "f", used)
	n.settled(t, "f")
	if _, err := n.CodeDir(t.Context(), unused.SHA256); err != nil {
		t.Fatal(err)
	}
	n.sweep(t, 59*time.Minute)
	if stored, unpacked := n.has(t, unused); !stored || !unpacked {
		t.Errorf("unused code within its grace: stored %v, unpacked %v", stored, unpacked)
	}
	n.sweep(t, 61*time.Minute)
	if stored, unpacked := n.has(t, unused); stored || unpacked {
		t.Errorf("unused code after its grace: stored %v, unpacked %v", stored, unpacked)
	}
	if stored, unpacked := n.has(t, used); !stored || !unpacked {
		t.Errorf("used code: stored %v, unpacked %v", stored, unpacked)
	}
	again := n.put(t, "unused")
	n.create(t, "g", again)
	if g := n.settled(t, "g"); g.State != function.Active {
		t.Errorf("created with code that was swept before: %+v", g)
	}
}

func TestReplacedCodeIsKeptForTheInvocationsThatRunIt(t *testing.T) {
	n := run(t, t.TempDir())
	one, two := n.put(t, "one"), n.put(t, "two")
	f := newFunction("f", one)
	f.Settings.Timeout = 5 * time.Hour
	if _, err := n.Create(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	n.settled(t, "f")
	if _, err := n.update("f", "", func(v *function.Version) error { v.Code = two; return nil }); err != nil {
		t.Fatal(err)
	}
	n.settled(t, "f")
	n.sweep(t, 5*time.Hour+59*time.Minute)
	if _, unpacked := n.has(t, one); !unpacked {
		t.Error("replaced code is gone while an invocation may run it")
	}
	n.sweep(t, 6*time.Hour+time.Minute)
	if stored, unpacked := n.has(t, one); stored || unpacked {
		t.Errorf("replaced code is kept: stored %v, unpacked %v", stored, unpacked)
	}
	if stored, _ := n.has(t, two); !stored {
		t.Error("the code in use is gone")
	}
}

func TestMissingDirectoryIsUnpackedAgain(t *testing.T) {
	dir := t.TempDir()
	n := run(t, dir)
	code := n.put(t, "code")
	n.create(t, "f", code)
	n.settled(t, "f")
	n.stop()
	if err := os.RemoveAll(filepath.Join(dir, "code")); err != nil {
		t.Fatal(err)
	}
	n = run(t, dir)
	path, err := n.CodeDir(t.Context(), code.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(path, "index.js")); err != nil || string(text) != "code" {
		t.Errorf("the code is %q, %v", text, err)
	}
}

func TestOpenClearsWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "code", ".unpack-123", "deep")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(filepath.Dir(left)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the crash left is there: %v", err)
	}
}

func TestCodeThatIsLostFailsThePreparation(t *testing.T) {
	n := open(t, t.TempDir())
	code := n.put(t, "code")
	n.create(t, "f", code)
	if err := catalog.LoseCode(t.Context(), n.Catalog, code.SHA256); err != nil {
		t.Fatal(err)
	}
	n.work(t)
	f := n.settled(t, "f")
	if f.State != function.Failed || f.StateReason == "" {
		t.Errorf("settled as %s, %q", f.State, f.StateReason)
	}
	mended := n.put(t, "mended")
	if _, err := n.update("f", "", func(v *function.Version) error { v.Code = mended; return nil }); err != nil {
		t.Fatal(err)
	}
	if f = n.settled(t, "f"); f.State != function.Active || f.StateReason != "" {
		t.Errorf("mended as %s, %q", f.State, f.StateReason)
	}
	n.idle()
	if _, err := n.update("f", "", func(v *function.Version) error { v.Code = n.put(t, "lost"); return nil }); err != nil {
		t.Fatal(err)
	}
	staged, _ := n.Function("default", "f")
	if err := catalog.LoseCode(t.Context(), n.Catalog, staged.Next.Code.SHA256); err != nil {
		t.Fatal(err)
	}
	n.work(t)
	f = n.settled(t, "f")
	if f.State != function.Active || f.UpdateFailure == "" || f.Latest.Code != mended {
		t.Errorf("after a failed update: %s, %q, %v", f.State, f.UpdateFailure, f.Latest.Code)
	}
}
