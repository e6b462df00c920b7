package build

import (
	"archive/zip"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

// packFormat names the way packages are written: a change of it must not find
// packages of the old way in the cache.
const packFormat = "mayfly-package-1"

// pack writes the files as a zip in which nothing depends on when or where it
// was made, or finds the one that was made of the same files before.
func (b *Builder) pack(entries []entry) (*Package, error) {
	if len(entries) == 0 {
		return nil, fault.New(fault.Invalid, "EmptyPackage", "there is nothing to deploy: every file is ignored or the folder is empty")
	}
	entries = merge(entries)
	key, total, err := digestEntries(entries)
	if err != nil {
		return nil, err
	}
	if err := checkTree(len(entries), total); err != nil {
		return nil, err
	}
	path, err := b.cached("packages", key+".zip", func(tmp string) error { return writeZip(tmp, entries) })
	if err != nil {
		return nil, err
	}
	p, err := given(path)
	if err != nil {
		return nil, err
	}
	p.UnzippedBytes, p.Files = total, len(entries)
	return p, nil
}

// digestEntries is the identity of a package before it is zipped.
func digestEntries(entries []entry) (key string, total int64, err error) {
	h := sha256.New()
	fmt.Fprintln(h, packFormat)
	for _, e := range entries {
		fmt.Fprintf(h, "%q %t %q ", e.name, e.executable, e.link)
		n, err := e.hashInto(h)
		if err != nil {
			return "", 0, fmt.Errorf("read %s: %w", e.name, err)
		}
		fmt.Fprintf(h, " %d\n", n)
		total += n
	}
	return hex.EncodeToString(h.Sum(nil)), total, nil
}

func (e entry) hashInto(h hash.Hash) (int64, error) {
	if e.link != "" {
		return 0, nil
	}
	r, err := e.open()
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	return io.Copy(h, r)
}

func (e entry) open() (io.ReadCloser, error) {
	switch {
	case e.link != "":
		return io.NopCloser(strings.NewReader(e.link)), nil
	case e.path != "":
		return os.Open(e.path)
	default:
		return io.NopCloser(bytes.NewReader(e.data)), nil
	}
}

// mode is the file's mode in the package: who may write is the node's matter.
func (e entry) mode() fs.FileMode {
	switch {
	case e.link != "":
		return fs.ModeSymlink | 0o777
	case e.executable:
		return 0o755
	default:
		return 0o644
	}
}

func writeZip(path string, entries []entry) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := zip.NewWriter(f)
	for _, e := range entries {
		if err = addFile(w, e); err != nil {
			err = fmt.Errorf("zip %s: %w", e.name, err)
			break
		}
	}
	return errors.Join(err, w.Close(), f.Close())
}

// epoch is the earliest time that a zip can hold.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func addFile(w *zip.Writer, e entry) error {
	header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: epoch}
	header.SetMode(e.mode())
	out, err := w.CreateHeader(header)
	if err != nil {
		return err
	}
	in, err := e.open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	_, err = io.Copy(out, in)
	return err
}

func digestFile(path string) (digest string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// keep is how many results of each sort the cache holds.
const keep = 24

// cached returns the path of a result, made by produce unless it is there. The
// result appears whole or not at all, whoever else makes the same one.
func (b *Builder) cached(sort, name string, produce func(tmp string) error) (string, error) {
	dir := filepath.Join(b.CacheDir, sort)
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		now := time.Now()
		// The time of use decides what stays; a cache that can't be touched is
		// still a cache.
		_ = os.Chtimes(path, now, now)
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the build cache: %w", err)
	}
	tmp, err := os.MkdirTemp(dir, ".making-")
	if err != nil {
		return "", fmt.Errorf("make the build cache: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	made := filepath.Join(tmp, name)
	if err := produce(made); err != nil {
		return "", err
	}
	if err := os.Rename(made, path); err != nil {
		if _, there := os.Stat(path); there != nil { // somebody else may have been faster
			return "", fmt.Errorf("keep the build: %w", err)
		}
	}
	prune(dir)
	return path, nil
}

// prune removes the results that were not used for the longest time, and what
// a killed build left behind a day ago. A cache that can't be pruned grows, but
// the build has succeeded, so failures are not reported.
func prune(dir string) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	type item struct {
		name string
		used time.Time
	}
	var items []item
	for _, d := range list {
		info, err := d.Info()
		switch {
		case err != nil:
		case !strings.HasPrefix(d.Name(), ".making-"):
			items = append(items, item{d.Name(), info.ModTime()})
		case time.Since(info.ModTime()) > 24*time.Hour:
			_ = os.RemoveAll(filepath.Join(dir, d.Name()))
		}
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Or(b.used.Compare(a.used), strings.Compare(a.name, b.name)) })
	for _, it := range items[min(keep, len(items)):] {
		_ = os.RemoveAll(filepath.Join(dir, it.name))
	}
}
