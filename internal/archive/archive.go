// Package archive reads code packages: zip files that strangers made. It checks
// a package as a whole and unpacks it so that nothing can end up outside its
// directory. Writing packages is the command line's matter (cli/build). It holds
// no state, and its functions may run concurrently.
package archive

import (
	"mayfly.dev/mayfly/internal/fault"
)

// The limits of AWS Lambda for a package that is uploaded.
const (
	MaxZipBytes      = 50 << 20
	MaxUnzippedBytes = 250 << 20
)

// Limits bound a package. All of them are inclusive.
type Limits struct {
	// ZipBytes bounds the package as it was uploaded.
	ZipBytes int64
	// UnzippedBytes bounds the sum of the sizes of its files.
	UnzippedBytes int64
	// Nodes bounds its files, links and directories, those included that only
	// show in the paths of others.
	Nodes int
	// PathBytes bounds a path, Depth the names that it is made of.
	PathBytes int
	Depth     int
}

// DefaultLimits are those of a function's code.
var DefaultLimits = Limits{
	ZipBytes: MaxZipBytes, UnzippedBytes: MaxUnzippedBytes,
	Nodes: 100_000, PathBytes: 1024, Depth: 100,
}

// Info is what a package holds.
type Info struct {
	// SHA256 is the digest of the package in lower-case hexadecimal.
	SHA256 string
	// Files counts regular files, Links symbolic links.
	Files, Links int
	// UnzippedBytes is the sum of the sizes of the files.
	UnzippedBytes int64
}

func corrupt(err error, format string, args ...any) error {
	return fault.Wrap(err, fault.Invalid, "CorruptPackage", format, args...)
}

func unsafePath(name, why string) error {
	return fault.New(fault.Invalid, "UnsafePath", "the path %q in the package %s: build the package again without it", name, why)
}

func unsupported(name, why string) error {
	return fault.New(fault.Invalid, "UnsupportedEntry", "%q in the package %s: build the package again with plain deflated files", name, why)
}

func empty() error {
	return fault.New(fault.Invalid, "EmptyPackage", "the package holds no files")
}

func zipTooLarge(size, limit int64) error {
	return fault.New(fault.TooLarge, "PackageTooLarge", "the package takes %d bytes, more than %d: leave out what the function does not need", size, limit)
}

func unzippedTooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "UnzippedTooLarge", "the package takes more than %d bytes unzipped: leave out what the function does not need", limit)
}

func tooManyFiles(limit int) error {
	return fault.New(fault.TooLarge, "TooManyFiles", "the package holds more than %d files and directories: leave out what the function does not need", limit)
}

func diskFull(dir string, err error) error {
	return fault.Wrap(err, fault.Unavailable, "DiskFull", "no space is left on the disk of %s: free some and try again", dir)
}
