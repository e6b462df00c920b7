package server

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi/shim"
	"mayfly.dev/mayfly/internal/sandbox"
)

// codeCaches keeps what makes the code of versions load faster and does not come
// with it: byte code of Python. It is made in the background, for one version at a
// time; an environment that starts before it is there does without.
type codeCaches struct {
	dir     string
	shims   *shim.Adapter
	driver  sandbox.Driver
	resolve func(runtime string) (language.Resolution, error)
	// used returns the digests of the code packages that functions have.
	used func() map[string]bool
	log  *slog.Logger

	wake chan struct{}

	mu      sync.Mutex
	pending map[string]*function.Version // by the digest of their code
}

func (n *node) openCodeCaches(ctx context.Context, shims *shim.Adapter) error {
	dir, err := n.dir("code-cache")
	if err != nil {
		return err
	}
	n.caches = &codeCaches{
		dir: dir, shims: shims, driver: n.driver, resolve: n.runtimes.Resolve, used: n.catalog.UsedCode,
		log: n.log.With("part", "code-cache"), wake: make(chan struct{}, 1), pending: make(map[string]*function.Version),
	}
	n.background(ctx, "code caches", func(ctx context.Context) error { return n.caches.run(ctx, n.catalog.CodeDir) })
	return nil
}

// want has the cache of a version made. It does not block.
func (c *codeCaches) want(v *function.Version) {
	c.mu.Lock()
	c.pending[v.Code.SHA256] = v
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // run will find it
	}
}

// mounts returns what a version's environments get of it.
func (c *codeCaches) mounts(v *function.Version, in language.Interpreter) []sandbox.Mount {
	if m, ok := shim.CodeCache(c.path(v.Code.SHA256, in)); ok && in.Family == language.Python {
		return []sandbox.Mount{m}
	}
	return nil
}

// path is where the cache of a code package is for an interpreter, whose version
// its form depends on.
func (c *codeCaches) path(sha256 string, in language.Interpreter) string {
	return filepath.Join(c.dir, sha256+"-"+in.Version)
}

// run makes what is wanted until ctx is done.
func (c *codeCaches) run(ctx context.Context, codeDir func(context.Context, string) (string, error)) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.wake:
		}
		for v := c.next(); v != nil && ctx.Err() == nil; v = c.next() {
			if err := c.make(ctx, v, codeDir); err != nil && ctx.Err() == nil && fault.From(err).Kind != fault.Unsupported {
				c.log.WarnContext(ctx, "byte code could not be made: cold starts compile what they import", "function", v.Function, "err", err)
			}
		}
		c.sweep(ctx)
	}
}

func (c *codeCaches) next() *function.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	for digest, v := range c.pending {
		delete(c.pending, digest)
		return v
	}
	return nil
}

func (c *codeCaches) make(ctx context.Context, v *function.Version, codeDir func(context.Context, string) (string, error)) error {
	resolution, err := c.resolve(v.Runtime)
	if err != nil || resolution.Family != language.Python {
		return err
	}
	dir, err := codeDir(ctx, v.Code.SHA256)
	if err != nil {
		return err
	}
	code := []sandbox.Mount{{Source: dir, Target: "/var/task"}}
	return c.shims.PrepareCode(ctx, c.driver, resolution.Interpreter, code, c.path(v.Code.SHA256, resolution.Interpreter))
}

// sweep removes the caches of code that no function has any more.
func (c *codeCaches) sweep(ctx context.Context) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.log.WarnContext(ctx, "old byte code could not be looked for", "err", err)
		return
	}
	used := c.used()
	for _, e := range entries {
		digest, _, whole := strings.Cut(e.Name(), "-")
		whole = whole && !strings.Contains(e.Name(), ".new-") // which a crash left: nobody makes any now
		if whole && used[digest] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(c.dir, e.Name())); err != nil {
			c.log.WarnContext(ctx, "old byte code could not be removed", "err", err)
		}
	}
}
