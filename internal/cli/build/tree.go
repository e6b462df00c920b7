package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mayfly.dev/mayfly/internal/fault"
)

// entry is one file of a package on its way into the zip.
type entry struct {
	// name is the slash path inside the package.
	name string
	// Exactly one of these says what it holds: a file on disk, bytes, or the
	// target of a symbolic link.
	path string
	data []byte
	link string

	executable bool
}

// collect lists the source's files, without what is ignored.
func collect(src *Source) ([]entry, error) {
	if src.Only != "" {
		info, err := os.Stat(filepath.Join(src.Root, src.Only))
		if err != nil {
			return nil, fmt.Errorf("read the source: %w", err)
		}
		return []entry{{name: src.Only, path: filepath.Join(src.Root, src.Only), executable: info.Mode()&0o111 != 0}}, nil
	}
	rules, err := readIgnore(src.Root)
	if err != nil {
		return nil, err
	}
	return walk(src.Root, "", rules)
}

func readIgnore(root string) (ignore, error) {
	rules := parseIgnore([]byte(defaultIgnore))
	text, err := os.ReadFile(filepath.Join(root, IgnoreFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", IgnoreFile, err)
	}
	return append(rules, parseIgnore(text)...), nil
}

// walk lists the files below root in the order of their names, each put below
// prefix in the package.
func walk(root, prefix string, rules ignore) ([]entry, error) {
	var (
		entries []entry
		total   int64
	)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == root {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if rules.match(name, d.IsDir()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		e, size, err := newEntry(root, file, path.Join(prefix, name), d)
		if err != nil || e.name == "" {
			return err
		}
		entries = append(entries, e)
		total += size
		return checkTree(len(entries), total)
	})
	return entries, err
}

func checkTree(files int, total int64) error {
	switch {
	case total > MaxUnzippedBytes:
		return fault.New(fault.TooLarge, "UnzippedTooLarge",
			"the code takes more than %d bytes unzipped: list what the function doesn't need in %s", MaxUnzippedBytes, IgnoreFile)
	case files > maxFiles:
		return fault.New(fault.TooLarge, "TooManyFiles",
			"the folder has more than %d files: list what the function doesn't need in %s", maxFiles, IgnoreFile)
	default:
		return nil
	}
}

// newEntry describes a file; folders, sockets and devices give an entry without
// a name.
func newEntry(root, file, name string, d fs.DirEntry) (entry, int64, error) {
	switch {
	case d.Type()&fs.ModeSymlink != 0:
		target, err := insideLink(root, file)
		return entry{name: name, link: target}, 0, err
	case !d.Type().IsRegular():
		return entry{}, 0, nil
	}
	info, err := d.Info()
	if err != nil {
		return entry{}, 0, err
	}
	return entry{name: name, path: file, executable: info.Mode()&0o111 != 0}, info.Size(), nil
}

// insideLink returns a link's target if it stays below root, as a package's
// links must.
func insideLink(root, file string) (string, error) {
	target, err := os.Readlink(file)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(root, filepath.Join(filepath.Dir(file), target))
	if filepath.IsAbs(target) || err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", fault.New(fault.Invalid, "UnsafePath",
			"%s is a link to %s, outside the folder: replace it by a copy or list it in %s", file, target, IgnoreFile)
	}
	return filepath.ToSlash(target), nil
}

// merge joins lists of files; of two with one name the first stays.
func merge(lists ...[]entry) []entry {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return slices.CompactFunc(all, func(a, b entry) bool { return a.name == b.name })
}
