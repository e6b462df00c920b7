//go:build !linux

package archive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// syncAll makes everything below dir durable, file by file: only Linux can
// sync a file system as a whole.
func syncAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
