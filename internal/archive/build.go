package archive

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// epoch is the time of every file in a package that Build makes: the earliest
// that a zip can tell.
var epoch = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

// Ignore says whether the path rel, relative to the root and with slashes, stays out
// of a package. A directory that stays out is not looked into.
type Ignore func(rel string, isDir bool) bool

// Build writes a package of the folder root, or of the single file root, to w.
// Two folders with the same names, contents and executable bits make the same
// bytes: entries are sorted, and times, owners and other modes left out. Links
// that stay in the folder are kept; others are refused as UnsafePath, as are
// pipes and devices as UnsupportedEntry. What grows beyond limits is refused
// when it is met. A nil ignore keeps everything.
func Build(ctx context.Context, w io.Writer, root string, limits Limits, ignore Ignore) (Info, error) {
	b := &builder{ctx: ctx, root: root, ignore: ignore, tree: newTree(limits), out: &counter{w: w, limit: limits.ZipBytes}}
	b.out.sum = sha256.New()
	b.zip = zip.NewWriter(b.out)
	st, err := os.Stat(root)
	if err != nil {
		return Info{}, fmt.Errorf("build a package: %w", err)
	}
	if st.IsDir() {
		err = filepath.WalkDir(root, b.visit)
	} else {
		err = b.file(root, filepath.Base(root), st)
	}
	if err != nil {
		return Info{}, err
	}
	if b.info.Files == 0 {
		return Info{}, empty()
	}
	if err := b.tree.contained(); err != nil {
		return Info{}, err
	}
	if err := b.zip.Close(); err != nil {
		return Info{}, fmt.Errorf("build a package of %s: %w", root, err)
	}
	b.info.SHA256 = hex.EncodeToString(b.out.sum.Sum(nil))
	return b.info, nil
}

type builder struct {
	ctx    context.Context //nolint:containedctx // filepath.WalkDir hands none on, and a builder lives for one call
	root   string
	ignore Ignore
	tree   *tree
	out    *counter
	zip    *zip.Writer
	info   Info
}

func (b *builder) visit(name string, d fs.DirEntry, err error) error {
	if err == nil {
		err = context.Cause(b.ctx)
	}
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(b.root, name)
	if err != nil || rel == "." {
		return err
	}
	rel = filepath.ToSlash(rel)
	if b.ignore != nil && b.ignore(rel, d.IsDir()) {
		if d.IsDir() {
			return filepath.SkipDir
		}
		return nil
	}
	if d.IsDir() {
		return nil // it shows in the paths of its files
	}
	st, err := d.Info()
	if err != nil {
		return err
	}
	switch {
	case st.Mode().IsRegular():
		return b.file(name, rel, st)
	case st.Mode().Type() == fs.ModeSymlink:
		return b.link(name, rel)
	default:
		return unsupported(rel, "is a device, a pipe or a socket")
	}
}

func (b *builder) file(name, rel string, st fs.FileInfo) error {
	mode := fs.FileMode(0o644)
	if st.Mode()&0o111 != 0 {
		mode = 0o755
	}
	w, err := b.create(rel, mode, regular)
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("build a package: %w", err)
	}
	defer func() { _ = f.Close() }() // it only was read from
	left := b.tree.limits.UnzippedBytes - b.info.UnzippedBytes
	n, err := io.Copy(w, io.LimitReader(f, left+1))
	if err != nil {
		return fmt.Errorf("build a package with %s: %w", name, err)
	}
	if n > left {
		return unzippedTooLarge(b.tree.limits.UnzippedBytes)
	}
	b.info.Files++
	b.info.UnzippedBytes += n
	return nil
}

func (b *builder) link(name, rel string) error {
	target, err := os.Readlink(name)
	if err != nil {
		return fmt.Errorf("build a package: %w", err)
	}
	w, err := b.create(rel, fs.ModeSymlink|0o777, symlink)
	if err != nil {
		return err
	}
	target = filepath.ToSlash(target)
	if err := b.tree.link(path.Clean(rel), target); err != nil {
		return err
	}
	b.info.Links++
	if _, err := io.WriteString(w, target); err != nil {
		return fmt.Errorf("build a package with %s: %w", name, err)
	}
	return nil
}

func (b *builder) create(rel string, mode fs.FileMode, k kind) (io.Writer, error) {
	p, err := b.tree.clean(rel)
	if err != nil {
		return nil, err
	}
	if err := b.tree.add(p, k); err != nil {
		return nil, err
	}
	h := &zip.FileHeader{Name: p, Method: zip.Deflate, Modified: epoch}
	h.SetMode(mode)
	w, err := b.zip.CreateHeader(h)
	if err != nil {
		return nil, fmt.Errorf("build a package with %s: %w", rel, err)
	}
	return w, nil
}

// counter refuses what is written beyond a limit, and digests what is written.
type counter struct {
	w           io.Writer
	sum         hash.Hash
	size, limit int64
}

func (c *counter) Write(p []byte) (int, error) {
	if c.size+int64(len(p)) > c.limit {
		return 0, zipTooLarge(c.size+int64(len(p)), c.limit)
	}
	n, err := c.w.Write(p)
	c.size += int64(n)
	_, _ = c.sum.Write(p[:n]) // a hash takes everything
	if err != nil && !errors.Is(err, io.ErrShortWrite) {
		err = fmt.Errorf("write the package: %w", err)
	}
	return n, err
}
