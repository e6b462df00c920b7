package shim

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/sandbox"
)

// codeCacheDir is where the byte code of a version is inside its sandbox.
const codeCacheDir = "/var/lang/pycache"

// The bounds of compiling a version's code.
const (
	codeTimeout     = 2 * time.Minute
	codeMemoryBytes = 512 << 20
	codeMilliCPU    = 250 // functions go first
	// maxCodeBytes bounds all byte code of a version, maxModules the modules.
	maxCodeBytes = 512 << 20
	maxModules   = 50_000
	maxNameBytes = 4096
)

// PrepareCode makes the byte code of a version's Python modules, which its
// sandboxes, being read-only, can't keep, and writes it to cacheDir, which
// appears whole or not at all; if it is there, nothing is done. code are the
// mounts of the version's code and layers. The code is parsed in a sandbox of
// driver, and none of it is run. Without it everything works, and each cold start
// compiles what it imports.
//
// For Node.js it does nothing.
func (a *Adapter) PrepareCode(ctx context.Context, driver sandbox.Driver, in language.Interpreter, code []sandbox.Mount, cacheDir string) (err error) {
	if in.Family != language.Python {
		return nil
	}
	if _, ok := CodeCache(cacheDir); ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, codeTimeout)
	defer cancel()
	tmp, err := os.MkdirTemp(filepath.Dir(cacheDir), filepath.Base(cacheDir)+".new-")
	if err != nil {
		return fmt.Errorf("compile a version's code: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	err = a.compileIn(ctx, driver, in, code, tmp)
	if err == nil {
		err = filepath.WalkDir(tmp, publish)
	}
	if err != nil {
		return fmt.Errorf("compile a version's code: %w", err)
	}
	if err := os.Rename(tmp, cacheDir); err != nil {
		if _, ok := CodeCache(cacheDir); !ok { // nobody else was faster
			return fmt.Errorf("compile a version's code: %w", err)
		}
	}
	return nil
}

// publish lets user code, which has another uid, read a file or directory.
func publish(name string, d fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case d.IsDir():
		return os.Chmod(name, 0o755) //nolint:gosec // see above
	default:
		return os.Chmod(name, 0o644) //nolint:gosec // see above
	}
}

// CodeCache returns the mount that gives a version's sandboxes what PrepareCode
// made; false: it has made nothing.
func CodeCache(cacheDir string) (sandbox.Mount, bool) {
	info, err := os.Stat(cacheDir)
	return sandbox.Mount{Source: cacheDir, Target: codeCacheDir}, err == nil && info.IsDir()
}

// compileIn compiles code in a sandbox and writes what comes out of it below
// dir.
func (a *Adapter) compileIn(ctx context.Context, driver sandbox.Driver, in language.Interpreter, code []sandbox.Mount, dir string) (err error) {
	sb, err := driver.Create(ctx, sandbox.Spec{
		ID:          fmt.Sprintf("compile-%x", sha256.Sum256([]byte(dir)))[:24],
		MemoryBytes: codeMemoryBytes, MilliCPU: codeMilliCPU, PIDs: 4, OpenFiles: 64, TmpBytes: 1 << 20,
		Mounts: append(a.Mounts(in), code...), Egress: function.Egress{Mode: function.EgressNone},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sb.Destroy(context.WithoutCancel(ctx))) }()
	if _, maps := sb.(sandbox.PathMapper); maps {
		return fault.New(fault.Unsupported, "PrepareCode", "without mounts the code is not where its byte code says")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // a pipe that was read
	cmd := sandbox.Command{Path: in.Path, Dir: "/", Files: []*os.File{w}}
	cmd.Args = []string{in.Path, "-I", "-S", path.Join(runtimeDir, "python", "compile_code.py")}
	for _, m := range code {
		cmd.Args = append(cmd.Args, m.Target)
	}
	process, err := sb.Start(ctx, cmd)
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := storeModules(bufio.NewReaderSize(r, 64<<10), dir); err != nil {
		return err
	}
	select {
	case <-process.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if exit := process.Exit(); exit != (sandbox.Exit{}) {
		return fmt.Errorf("the compiler ended with %s", exit)
	}
	return nil
}

// errModules says that what comes from the sandbox is no list of modules: it is
// as foreign as the code that is compiled there.
var errModules = errors.New("what the compiler wrote is not byte code of modules")

// storeModules writes the modules that compile_code.py sends below dir.
func storeModules(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing is written to it
	left := int64(maxCodeBytes)
	for range maxModules {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		nameBytes, size := int64(binary.BigEndian.Uint32(head[:])), int64(binary.BigEndian.Uint32(head[4:]))
		if left -= size; nameBytes > maxNameBytes || left < 0 {
			return errModules
		}
		name := make([]byte, nameBytes)
		if _, err := io.ReadFull(r, name); err != nil {
			return err
		}
		if err := storeModule(root, string(name), io.LimitReader(r, size), size); err != nil {
			return err
		}
	}
	return errModules
}

func storeModule(root *os.Root, name string, r io.Reader, size int64) (err error) {
	name, absolute := strings.CutPrefix(name, "/")
	if !absolute || !filepath.IsLocal(name) || !strings.HasSuffix(name, ".pyc") {
		return errModules
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if n, err := io.Copy(f, r); err != nil || n != size {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	return nil
}
