package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"mayfly.dev/mayfly/internal/archive"
	"mayfly.dev/mayfly/internal/function"
)

// sweepAll looks for unused code, at start and then again and again.
func (c *Catalog) sweepAll(ctx context.Context) error {
	tick := time.NewTicker(c.sweep)
	defer tick.Stop()
	for {
		if err := c.sweepOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "unused code not removed", slog.Any("err", err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sweepOnce removes the packages and directories that no function uses, that
// are older than the grace, and that nobody has asked to keep.
func (c *Catalog) sweepOnce(ctx context.Context, now time.Time) error {
	stored, err := c.codeAges(ctx)
	if err != nil {
		return err
	}
	used := c.UsedCode()
	var failed error
	for digest, since := range stored {
		if used[digest] || now.Sub(since) < c.grace || c.custody.kept(digest, now) {
			continue
		}
		if err := c.collect(ctx, digest, now); err != nil {
			failed = errors.Join(failed, fmt.Errorf("remove code %s: %w", digest, err))
		}
	}
	c.custody.expire(now)
	return failed
}

// codeAges tells of every package, stored or unpacked, when it was last made.
func (c *Catalog) codeAges(ctx context.Context) (map[string]time.Time, error) {
	ages := map[string]time.Time{}
	objects, err := c.objects.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		ages[o.Name] = o.Modified
	}
	dirs, err := os.ReadDir(c.codeDir)
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		st, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) || !sha256Pattern.MatchString(d.Name()) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if ages[d.Name()].Before(st.ModTime()) {
			ages[d.Name()] = st.ModTime()
		}
	}
	return ages, nil
}

// UsedCode returns the digests of the packages that functions use.
func (c *Catalog) UsedCode() map[string]bool {
	used := map[string]bool{}
	for r := range c.view.functions.values {
		used[r.f.Latest.Code.SHA256] = true
		used[r.f.Newest().Code.SHA256] = true
	}
	return used
}

// collect removes a package unless it has come into use meanwhile.
func (c *Catalog) collect(ctx context.Context, digest string, now time.Time) error {
	release, err := c.custody.take(ctx, digest)
	if err != nil {
		return err
	}
	defer release()
	if c.UsedCode()[digest] || c.custody.kept(digest, now) {
		return nil
	}
	if err := c.objects.Delete(ctx, digest); err != nil {
		return err
	}
	// The directory loses its name first, so that nobody finds half of it.
	dir := filepath.Join(c.codeDir, digest)
	leaving := filepath.Join(c.codeDir, archive.TemporaryPrefix+digest)
	if err := os.Rename(dir, leaving); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(leaving); err != nil {
		return err
	}
	c.log.InfoContext(ctx, "unused code removed", slog.String("code", digest))
	return nil
}

// keepReplaced has the code kept that a function does not use any more, for
// the invocations that still run it.
func (c *Catalog) keepReplaced(old, changed *function.Function) {
	if old == nil || changed != nil && changed.Latest.Code == old.Latest.Code {
		return
	}
	c.custody.keep(old.Latest.Code.SHA256, old.Latest.Timeout+c.grace)
}
