package scratch_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox/linux/scratch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(tb testing.TB) *scratch.Store {
	tb.Helper()
	s, err := scratch.Open(tb.Context(), scratch.Config{Dir: filepath.Join(tb.TempDir(), "scratch")})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// inside is a path below a disk's root.
func inside(d *scratch.Disk, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.FD(), name)
}

func TestADiskHoldsItsSizeAndNoMore(t *testing.T) {
	s := open(t)
	for _, size := range []int64{512 << 20, 600 << 20} {
		d, err := s.Acquire(t.Context(), size)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(inside(d, "."))
		if err != nil || len(entries) != 0 {
			t.Errorf("a new disk holds %v, %v", entries, err)
		}
		info, err := os.Stat(inside(d, "."))
		if err != nil || info.Mode() != os.ModeDir|os.ModeSticky|0o777 {
			t.Errorf("mode %v, %v, want 1777", info.Mode(), err)
		}
		f, err := os.Create(inside(d, "fill"))
		if err != nil {
			t.Fatal(err)
		}
		written, block := int64(0), make([]byte, 1<<20)
		for err == nil {
			var n int
			n, err = f.Write(block)
			written += int64(n)
		}
		if !errors.Is(err, unix.ENOSPC) || written < size || written > size+size/16 {
			t.Errorf("%d bytes fit on a disk of %d, then %v", written, size, err)
		}
		f.Close()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDisksAreApart(t *testing.T) {
	s := open(t)
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			d, err := s.Acquire(t.Context(), 512<<20)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			f, err := os.OpenFile(inside(d, "mine"), os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				t.Errorf("the disk is another's: %v", err)
				return
			}
			f.Close()
		})
	}
	all.Wait()
}

func TestNothingIsLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "scratch")
	s, err := scratch.Open(t.Context(), scratch.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Acquire(t.Context(), 512<<20)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range loops {
		if b, err := os.ReadFile(l); err == nil && strings.HasPrefix(string(b), dir) {
			t.Errorf("%s still holds %s", l, b)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	s := open(b)
	for b.Loop() {
		d, err := s.Acquire(b.Context(), 513<<20)
		if err != nil {
			b.Fatal(err)
		}
		d.Close()
	}
}
