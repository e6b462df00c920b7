// Package build turns a user's folder or file into a code package: it detects
// the language and the handler, installs dependencies, bundles TypeScript,
// compiles Go, and zips the result so that equal input gives equal bytes.
//
// The user's tree is only read. Installed dependencies and finished packages
// are kept in a cache directory under the digest of what they were made of, and
// several processes may share it. Tools (npm, pip, go) are the user's own; what
// runs on a node, and where, is not this package's question.
package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/language"
)

// The limits of a code package, in bytes and files: AWS Lambda's, and a bound
// on what is worth walking.
const (
	MaxZipBytes      = 52428800
	MaxUnzippedBytes = 262144000
	maxFiles         = 100_000
)

// Kind is how a source becomes a package.
type Kind string

// The kinds.
const (
	Node       Kind = "Node.js"
	TypeScript Kind = "TypeScript"
	Python     Kind = "Python"
	Go         Kind = "Go"
	Bootstrap  Kind = "bootstrap"
	Files      Kind = "files" // a runtime that only the node may know
)

// Request is what the user said. What is empty is detected.
type Request struct {
	// Path is a folder, a source file or a zip.
	Path             string
	Runtime, Handler string
	// Architecture is x86_64 or arm64; empty: this machine's.
	Architecture string
	// Newest picks a runtime identifier of a family. It is asked only when
	// Runtime is empty, and never for [language.Provided].
	Newest func(language.Family) (string, error)
}

// Source is a detected source, ready to build.
type Source struct {
	Kind Kind
	// Root is the absolute folder; Only is set when the source is one file of
	// it; Zip when it is a package already, and then Root is empty.
	Root, Only, Zip  string
	Runtime, Handler string
	Architecture     string
	// Entry is the file that holds the handler, by its slash path below Root.
	Entry string
	// Why says in a few words what the decision rests on.
	Why string
	// Warnings are sentences for the user.
	Warnings []string
}

// Package is a finished code package.
type Package struct {
	// Path is the zip file, in the cache unless the user gave it.
	Path      string
	SizeBytes int64
	// UnzippedBytes and Files are 0 for a zip that the user gave.
	UnzippedBytes int64
	Files         int
	// SHA256 is the zip's digest in lower-case hexadecimal.
	SHA256 string
}

// Builder builds packages. It is safe for concurrent use when Step is.
type Builder struct {
	// CacheDir is made when needed.
	CacheDir string
	// Step is told what is being run, such as "npm ci"; nil: nobody listens.
	Step func(string)
	// Python is the interpreter that installs requirements; empty: the one that
	// matches the runtime in PATH, else python3.
	Python string
}

// Build makes src's package. The fault's detail names the tool that failed and
// quotes the end of what it said.
func (b *Builder) Build(ctx context.Context, src *Source) (*Package, error) {
	if src.Zip != "" {
		return given(src.Zip)
	}
	var (
		entries []entry
		err     error
	)
	switch src.Kind {
	case TypeScript:
		entries, err = b.typescript(ctx, src)
	case Node:
		entries, err = b.node(ctx, src)
	case Python:
		entries, err = b.python(ctx, src)
	case Go:
		return b.golang(ctx, src)
	case Bootstrap:
		entries, err = bootstrap(src)
	case Files:
		entries, err = collect(src)
	default:
		err = fmt.Errorf("build: unknown kind %q", src.Kind)
	}
	if err != nil {
		return nil, err
	}
	return b.pack(entries)
}

// bootstrap marks the function's own runtime as executable: a checkout on a
// file system without modes must not make a package that can't start.
func bootstrap(src *Source) ([]entry, error) {
	entries, err := collect(src)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if src.Only != "" { // hello.sh and the like
			entries[i].name = "bootstrap"
		}
		if entries[i].name == "bootstrap" {
			entries[i].executable = true
		}
	}
	return entries, nil
}

func (b *Builder) step(format string, args ...any) {
	if b.Step != nil {
		b.Step(fmt.Sprintf(format, args...))
	}
}

// Architecture names this machine's architecture as functions do.
func Architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// DefaultCacheDir is the folder of the user's caches that builds are kept in.
func DefaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil { // no home, as for some service users
		dir = os.TempDir()
	}
	return filepath.Join(dir, "mayfly", "builds")
}

func given(path string) (*Package, error) {
	digest, size, err := digestFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if size > MaxZipBytes {
		return nil, tooLarge(size)
	}
	return &Package{Path: path, SizeBytes: size, SHA256: digest}, nil
}

func tooLarge(size int64) error {
	return fault.New(fault.TooLarge, "PackageTooLarge",
		"the code package is %d bytes zipped, more than %d: list what the function doesn't need in .mayflyignore", size, MaxZipBytes)
}
