package build

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/language"
)

// customRuntime is the runtime of what brings its own bootstrap.
const customRuntime = "provided.al2023"

// finding is what one language's detector makes of a tree.
type finding struct {
	kind  Kind
	entry string
	// handler is empty when the language is there and its handler is not.
	handler string
	why     string
	// missing says what to do about an empty handler.
	missing  string
	warnings []string
}

// Detect looks at what the request names and decides the language, the runtime
// and the handler. Faults are Invalid and say which option settles the matter.
func Detect(req Request) (*Source, error) {
	abs, err := filepath.Abs(req.Path)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", req.Path, err)
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.Invalid, "PathNotFound", "there is no file or folder %s", req.Path)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", req.Path, err)
	}
	src := &Source{Runtime: req.Runtime, Handler: req.Handler, Architecture: req.Architecture}
	if src.Architecture == "" {
		src.Architecture = Architecture()
	}
	switch {
	case info.IsDir():
		src.Root = abs
		err = src.detectIn(os.DirFS(abs), "", req)
	case strings.EqualFold(filepath.Ext(abs), ".zip"):
		src.Zip = abs
		err = src.detectZip(req)
	default:
		src.Root, src.Only = filepath.Dir(abs), filepath.Base(abs)
		err = src.detectIn(os.DirFS(src.Root), src.Only, req)
	}
	if err != nil {
		return nil, err
	}
	return src, nil
}

func (s *Source) detectZip(req Request) error {
	if req.Runtime != "" && (req.Handler != "" || strings.HasPrefix(req.Runtime, "provided")) {
		s.Kind, s.Why = Files, "a zip, deployed as it is"
		return nil // the node checks the zip itself
	}
	r, err := zip.OpenReader(s.Zip)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "CorruptPackage", "%s is not a zip file that can be read: make it again", req.Path)
	}
	defer func() { _ = r.Close() }()
	return s.detectIn(r, "", req)
}

// detectIn decides for a tree, or for one file of it if only is set.
func (s *Source) detectIn(tree fs.FS, only string, req Request) error {
	f, err := find(tree, only, req)
	if err != nil {
		return err
	}
	s.Kind, s.Entry, s.Why, s.Warnings = f.kind, f.entry, f.why, f.warnings
	if s.Handler == "" {
		s.Handler = f.handler
	}
	if s.Handler == "" {
		return fault.New(fault.Invalid, "HandlerNotFound", "%s", f.missing)
	}
	if s.Runtime != "" {
		return nil
	}
	family := f.kind.family()
	if family == language.Provided {
		s.Runtime = customRuntime
		return nil
	}
	s.Runtime, err = req.Newest(family)
	return err
}

// find asks the detectors that the request leaves open, in order.
func find(tree fs.FS, only string, req Request) (*finding, error) {
	var found []*finding
	for _, d := range detectors(req.Runtime) {
		f, err := d(tree, only, req.Handler)
		if err != nil {
			return nil, err
		}
		if f != nil {
			found = append(found, f)
		}
	}
	complete := slices.DeleteFunc(slices.Clone(found), func(f *finding) bool { return f.handler == "" })
	switch {
	case len(complete) == 1:
		return complete[0], nil
	case len(complete) > 1 && complete[0].kind.family() != language.Provided:
		return nil, fault.New(fault.Invalid, "AmbiguousLanguage",
			"%s has a handler in %s (%s) and one in %s (%s): choose with --runtime", req.Path,
			complete[0].entry, complete[0].kind, complete[1].entry, complete[1].kind)
	case len(complete) > 1: // a bootstrap or a Go program decides, whatever lies beside it
		return complete[0], nil
	case len(found) > 0:
		return found[0], nil
	case req.Runtime != "" && (req.Handler != "" || strings.HasPrefix(req.Runtime, "provided")):
		return &finding{kind: Files, handler: "bootstrap", why: "files, deployed as they are"}, nil
	case req.Handler != "":
		return nil, fault.New(fault.Invalid, "HandlerNotFound",
			"%s has no source file for the handler %s, written FILE.NAME as in index.handler: name another, or give --runtime to deploy the files as they are", req.Path, req.Handler)
	default:
		return nil, fault.New(fault.Invalid, "UnknownLanguage",
			"no handler was recognised in %s: it needs an index.js, .mjs or .ts, a handler.py or lambda_function.py, a Go main package or an executable bootstrap; else give --runtime and --handler", req.Path)
	}
}

type detector func(tree fs.FS, only, handler string) (*finding, error)

// detectors lists the detectors that may speak for a runtime; empty: all.
func detectors(runtime string) []detector {
	switch {
	case runtime == "":
		return []detector{findBootstrap, findGo, findNode, findPython}
	case strings.HasPrefix(runtime, string(language.Node)):
		return []detector{findNode}
	case strings.HasPrefix(runtime, string(language.Python)):
		return []detector{findPython}
	case strings.HasPrefix(runtime, string(language.Provided)):
		return []detector{findBootstrap, findGo}
	default:
		return nil
	}
}

func (k Kind) family() language.Family {
	switch k {
	case Node, TypeScript:
		return language.Node
	case Python:
		return language.Python
	case Go, Bootstrap, Files:
		return language.Provided
	default:
		return ""
	}
}

func findBootstrap(tree fs.FS, only, handler string) (*finding, error) {
	name := "bootstrap"
	if only != "" {
		if only != name && filepath.Ext(only) != ".sh" {
			return nil, nil
		}
		name = only
	}
	if !isFile(tree, name) {
		return nil, nil
	}
	text, err := readSource(tree, name)
	if err != nil {
		return nil, err
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if bytes.HasPrefix(first, []byte("#!")) && bytes.HasSuffix(first, []byte("\r")) {
		return nil, fault.New(fault.Invalid, "LineEnds",
			"%s has Windows line ends, so that Linux finds no interpreter for it: save it with LF line ends", name)
	}
	if handler == "" {
		handler = "bootstrap"
	}
	return &finding{kind: Bootstrap, entry: name, handler: handler, why: name + " serves the runtime API"}, nil
}

func isFile(tree fs.FS, name string) bool {
	info, err := fs.Stat(tree, name)
	return err == nil && info.Mode().IsRegular()
}

// maxSourceBytes bounds how much of a source file is searched for a handler.
const maxSourceBytes = 4 << 20

// readSource returns a source file's text, or nothing if it is too large to be
// one that somebody wrote.
func readSource(tree fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(tree, name)
	if err != nil || info.Size() > maxSourceBytes {
		return nil, err
	}
	return fs.ReadFile(tree, name)
}
