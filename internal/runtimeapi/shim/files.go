package shim

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The shims' sources: tests and tools beside them stay out of the binary.
//
//go:embed node/*.js python/*.py python/mayfly_shim/*.py
var sources embed.FS

// filesPrefix starts the name of every directory that install makes.
const filesPrefix = "shim-"

// install writes the sources to a directory below parent that is named after
// their digest, and returns it. The directory appears whole or not at all.
func install(parent string) (string, error) {
	digest, err := digest(sources)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(parent, 0o755); err != nil { //nolint:gosec // user code reads the shims as another uid
		return "", err
	}
	parent, err = filepath.Abs(parent)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(parent, filesPrefix+digest)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		err = writeFiles(parent, dir)
		if err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	return dir, removeOthers(parent, dir)
}

func digest(files fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		h.Write([]byte(name + "\x00"))
		h.Write(b)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}

func writeFiles(parent, dir string) error {
	tmp, err := os.MkdirTemp(parent, filesPrefix+"new-")
	if err != nil {
		return err
	}
	err = fs.WalkDir(sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(tmp, filepath.FromSlash(name))
		if !d.IsDir() {
			return writeFile(target, name)
		}
		if err := os.MkdirAll(target, 0o755); err != nil { //nolint:gosec // see install
			return err
		}
		return os.Chmod(target, 0o755) //nolint:gosec // whatever the umask is
	})
	if err == nil {
		err = os.Rename(tmp, dir)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return nil
}

// writeFile writes an embedded file and syncs it: the directory's name promises
// its content, after a power cut too.
func writeFile(target, name string) (err error) {
	b, err := sources.ReadFile(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // see install
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return f.Sync()
}

// removeOthers removes what other builds and interrupted writes left.
func removeOthers(parent, keep string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(parent, e.Name())
		if strings.HasPrefix(e.Name(), filesPrefix) && name != keep {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}
