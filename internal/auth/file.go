package auth

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// FileName is the credentials file's name in the data directory.
const FileName = "credentials.json"

const (
	fileVersion = 1
	rootBytes   = 32
	// maxFileBytes bounds a file that someone else may have written.
	maxFileBytes = 1 << 20
	maxKeys      = 1000
)

// file is the content of the credentials file.
type file struct {
	Version int `json:"version"`
	// Root signs what the node hands out itself: sessions, download links.
	Root []byte `json:"root"`
	Keys []Key  `json:"keys"`
}

// OpenKeys reads the credentials file of the data directory dir and makes it,
// with a first key, if there is none. Two nodes that start at once on one
// directory read the same key. A file that others can read is refused.
func OpenKeys(dir string) (*Keys, error) {
	keys, err := ReadKeys(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	if err := create(filepath.Join(dir, FileName)); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "CredentialsNotWritten",
			"the first key can't be written to %s: make the directory writable for this user", filepath.Join(dir, FileName))
	}
	return ReadKeys(dir)
}

// ReadKeys reads the credentials file of the data directory dir. If there is
// none the error is [fs.ErrNotExist].
func ReadKeys(dir string) (*Keys, error) {
	path := filepath.Join(dir, FileName)
	raw, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	f, err := parse(raw)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "CredentialsCorrupt",
			"the credentials file %s can't be used: restore it from a backup, or remove it and have a new key made", path)
	}
	return newKeys(f), nil
}

func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.Wrap(err, fault.NotFound, "NoCredentials",
			"there is no %s: start the node once, it makes the file", path)
	case err != nil:
		return nil, fault.Wrap(err, fault.Denied, "CredentialsNotReadable",
			"%s can't be read: run as the user that owns it", path)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "CredentialsCorrupt", "%s is not a regular file: remove it", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fault.New(fault.Denied, "CredentialsExposed",
			"%s has mode %#o, so others may read the keys: run `chmod 600 %s`", path, perm, path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return raw, nil
}

// parse reads a credentials file's content. Its errors quote none of it.
func parse(raw []byte) (file, error) {
	if len(raw) > maxFileBytes {
		return file{}, fmt.Errorf("larger than %d bytes", maxFileBytes)
	}
	var f file
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if dec.Decode(&f) != nil {
		return file{}, errors.New("not the JSON that is due")
	}
	if dec.More() {
		return file{}, errors.New("something follows the JSON")
	}
	switch {
	case f.Version != fileVersion:
		return file{}, fmt.Errorf("version %d is not known, only %d", f.Version, fileVersion)
	case len(f.Root) < rootBytes:
		return file{}, fmt.Errorf("root is shorter than %d bytes", rootBytes)
	case len(f.Keys) == 0 || len(f.Keys) > maxKeys:
		return file{}, fmt.Errorf("it has %d keys, not 1 to %d", len(f.Keys), maxKeys)
	}
	return f, checkKeys(f.Keys)
}

func checkKeys(keys []Key) error {
	ids, tokens := map[string]bool{}, map[string]bool{}
	for i, k := range keys {
		switch {
		case !accessKeyPattern.MatchString(k.AccessKeyID):
			return fmt.Errorf("key %d: accessKeyId is not 16 to 128 capital letters and digits", i)
		case len(k.SecretAccessKey) < 40:
			return fmt.Errorf("key %d: secretAccessKey is shorter than 40 characters", i)
		case len(k.Token) < 40:
			return fmt.Errorf("key %d: token is shorter than 40 characters", i)
		case k.Name == "" || function.CheckName(k.Namespace) != nil:
			return fmt.Errorf("key %d: name or namespace is missing", i)
		case ids[k.AccessKeyID] || tokens[k.Token]:
			return fmt.Errorf("key %d: its id or token is another key's", i)
		}
		ids[k.AccessKeyID], tokens[k.Token] = true, true
	}
	return nil
}

// create writes a new credentials file. It leaves an existing one as it is: a
// hard link, unlike a rename, never replaces.
func create(path string) (err error) {
	raw, err := json.MarshalIndent(file{
		Version: fileVersion,
		Root:    randomBytes(rootBytes),
		Keys:    []Key{newKey("admin", function.DefaultNamespace)},
	}, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	_, err = tmp.Write(append(raw, '\n'))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// newKey returns a key of fresh random parts, in the form that clients expect
// of AWS keys: an id of 20 and a secret of 40 characters.
func newKey(name, namespace string) Key {
	return Key{
		AccessKeyID:     keyPrefix + randomBase32(14),
		SecretAccessKey: base64.RawStdEncoding.EncodeToString(randomBytes(30)),
		Token:           "mf_" + base64.RawURLEncoding.EncodeToString(randomBytes(30)),
		Name:            name,
		Namespace:       namespace,
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand.Read never fails: it ends the process instead
	return b
}
