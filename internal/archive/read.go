package archive

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"strings"
)

// entry is one file or link of a package, at the path that it unpacks to.
type entry struct {
	*zip.File
	path string
}

// contents is a package whose names, kinds and declared sizes were checked.
type contents struct {
	tree  *tree
	files []entry
	links []entry
	info  Info
}

// directorySignature begins each entry of a zip's directory.
var directorySignature = []byte("PK\x01\x02")

// Check reads a whole package and reports what it holds. What is wrong with it
// it tells by the reason of an Invalid or TooLarge fault: EmptyPackage,
// CorruptPackage, UnsafePath, UnsupportedEntry, PackageTooLarge,
// UnzippedTooLarge or TooManyFiles. What Check accepts, [Unpack] can unpack.
func Check(data []byte, limits Limits) (Info, error) {
	c, err := open(data, limits)
	if err != nil {
		return Info{}, err
	}
	left := limits.UnzippedBytes
	for _, f := range c.files {
		n, err := f.copyTo(io.Discard, left)
		if err != nil {
			return Info{}, sized(err, limits)
		}
		left -= n
	}
	c.info.UnzippedBytes = limits.UnzippedBytes - left
	return c.info, nil
}

// open checks all of a package but the data of its files.
func open(data []byte, limits Limits) (*contents, error) {
	switch {
	case len(data) == 0:
		return nil, empty()
	case int64(len(data)) > limits.ZipBytes:
		return nil, zipTooLarge(int64(len(data)), limits.ZipBytes)
	case bytes.Count(data, directorySignature) > limits.Nodes:
		return nil, tooManyFiles(limits.Nodes) // before memory is spent on each
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // we look ourselves
		return nil, corrupt(err, "the package is not a whole zip file: build it again and see that all of it is sent")
	}
	c := &contents{tree: newTree(limits)}
	var declared uint64
	for _, f := range r.File {
		if err := c.add(f); err != nil {
			return nil, err
		}
		declared += min(f.UncompressedSize64, uint64(limits.UnzippedBytes)+1)
		if declared > uint64(limits.UnzippedBytes) {
			return nil, unzippedTooLarge(limits.UnzippedBytes)
		}
	}
	if len(c.files) == 0 {
		return nil, empty()
	}
	if err := c.readLinks(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	c.info.SHA256 = hex.EncodeToString(sum[:])
	return c, nil
}

// add checks an entry and notes it.
func (c *contents) add(f *zip.File) error {
	p, err := c.tree.clean(f.Name)
	if err != nil {
		return err
	}
	switch {
	case f.Flags&1 != 0:
		return unsupported(f.Name, "is encrypted")
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return unsupported(f.Name, "is compressed in a way that is not supported")
	}
	mode := f.Mode()
	switch {
	case strings.HasSuffix(f.Name, "/") || mode.IsDir():
		if f.UncompressedSize64 != 0 {
			return corrupt(nil, "the directory %q in the package has data: build the package again", f.Name)
		}
		if p == "" {
			return nil
		}
		return c.tree.add(p, directory)
	case p == "":
		return unsafePath(f.Name, "names no file")
	case mode.IsRegular():
		c.files = append(c.files, entry{f, p})
		c.info.Files++
		return c.tree.add(p, regular)
	case mode.Type() == fs.ModeSymlink:
		c.links = append(c.links, entry{f, p})
		c.info.Links++
		return c.tree.add(p, symlink)
	default:
		return unsupported(f.Name, "is a device, a pipe or a socket")
	}
}

// readLinks reads the targets of the symbolic links and follows them.
func (c *contents) readLinks() error {
	for _, l := range c.links {
		var target strings.Builder
		_, err := l.copyTo(&target, int64(c.tree.limits.PathBytes))
		switch {
		case errors.Is(err, errTooMuch):
			return unsafePath(l.Name, "is a link whose target is too long")
		case err != nil:
			return err
		}
		if err := c.tree.link(l.path, target.String()); err != nil {
			return err
		}
	}
	return c.tree.contained()
}

// errTooMuch is that an entry holds more than it may.
var errTooMuch = errors.New("more data than allowed")

// copyTo inflates an entry into w, at most limit bytes of it, whatever size
// the package declares. It returns how many there were.
func (e entry) copyTo(w io.Writer, limit int64) (int64, error) {
	r, err := e.Open()
	if err != nil {
		return 0, corrupt(err, "%q in the package can't be read: build the package again", e.Name)
	}
	defer func() { _ = r.Close() }() // nothing is left to be said after the last read
	in := &source{r: io.LimitReader(r, limit+1)}
	n, err := io.Copy(w, in)
	switch {
	case in.err != nil:
		return n, corrupt(in.err, "%q in the package is damaged: build the package again and see that all of it is sent", e.Name)
	case err != nil:
		return n, err
	case n > limit:
		return n, errTooMuch
	}
	return n, nil
}

// source remembers the error of reading, which tells a damaged package from a
// disk that can't be written.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// sized makes a fault of errTooMuch.
func sized(err error, limits Limits) error {
	if errors.Is(err, errTooMuch) {
		return unzippedTooLarge(limits.UnzippedBytes)
	}
	return err
}
