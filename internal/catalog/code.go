package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mayfly.dev/mayfly/internal/archive"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// PutCode checks a code package and stores it under its digest. What is wrong
// with it is told by the reasons of [archive.Check]. Nothing needs to be done
// with a package that ends up unused.
func (c *Catalog) PutCode(ctx context.Context, zip []byte) (function.Code, error) {
	info, err := archive.Check(zip, archive.DefaultLimits)
	if err != nil {
		return function.Code{}, err
	}
	code := function.Code{SHA256: info.SHA256, SizeBytes: int64(len(zip))}
	release, err := c.custody.take(ctx, code.SHA256)
	if err != nil {
		return function.Code{}, err
	}
	defer release()
	c.custody.keep(code.SHA256, c.grace)
	has, err := c.objects.Has(ctx, code.SHA256)
	if err == nil && !has {
		err = c.objects.Put(ctx, code.SHA256, bytes.NewReader(zip), code.SizeBytes)
	}
	if err != nil {
		return function.Code{}, fmt.Errorf("store code %s: %w", code.SHA256, err)
	}
	return code, nil
}

// CodeZip opens a code package as it was uploaded, or fails with
// NotFound/"CodeNotFound". The caller closes it.
func (c *Catalog) CodeZip(ctx context.Context, digest string) (io.ReadCloser, error) {
	if err := checkCode(function.Code{SHA256: digest}); err != nil {
		return nil, err
	}
	r, err := c.objects.Get(ctx, digest)
	if fault.Is(err, fault.NotFound, "") {
		return nil, codeNotFound(digest)
	}
	if err != nil {
		return nil, fmt.Errorf("open code %s: %w", digest, err)
	}
	return r, nil
}

// CodeDir returns the directory that a code package is unpacked in, and
// unpacks it if this node has not yet. Nobody writes to it. It stays while a
// function uses the code, and then for the function's timeout and the grace.
func (c *Catalog) CodeDir(ctx context.Context, digest string) (string, error) {
	if err := checkCode(function.Code{SHA256: digest}); err != nil {
		return "", err
	}
	dir := filepath.Join(c.codeDir, digest)
	c.custody.keep(digest, c.grace)
	if _, err := os.Lstat(dir); err == nil {
		return dir, nil
	}
	release, err := c.custody.take(ctx, digest)
	if err != nil {
		return "", err
	}
	defer release()
	if _, err := os.Lstat(dir); err == nil {
		return dir, nil
	}
	zip, err := c.readCode(ctx, digest)
	if err != nil {
		return "", err
	}
	if _, err := archive.Unpack(ctx, zip, dir, archive.DefaultLimits); err != nil {
		return "", fmt.Errorf("unpack code %s: %w", digest, err)
	}
	return dir, nil
}

func (c *Catalog) readCode(ctx context.Context, digest string) ([]byte, error) {
	r, err := c.CodeZip(ctx, digest)
	if err != nil {
		return nil, err
	}
	zip, err := io.ReadAll(io.LimitReader(r, archive.MaxZipBytes+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read code %s: %w", digest, err)
	}
	if sum := sha256.Sum256(zip); hex.EncodeToString(sum[:]) != digest {
		return nil, fault.New(fault.Unavailable, "StoreCorrupt", "the stored code %s is damaged: deploy the function again", digest)
	}
	return zip, nil
}

// claimCode takes custody of a package that a function is about to use, so
// that it isn't swept away before the function shows. It fails with
// NotFound/"CodeNotFound" if there is no such package.
func (c *Catalog) claimCode(ctx context.Context, code function.Code) (release func(), err error) {
	if err := checkCode(code); err != nil {
		return nil, err
	}
	release, err = c.custody.take(ctx, code.SHA256)
	if err != nil {
		return nil, err
	}
	has, err := c.objects.Has(ctx, code.SHA256)
	if err == nil && !has {
		err = codeNotFound(code.SHA256)
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

func codeNotFound(digest string) error {
	return fault.New(fault.NotFound, "CodeNotFound", "there is no code package %s: upload it again", digest)
}
