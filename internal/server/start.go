package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"mayfly.dev/mayfly/internal/api/inner"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/autoscaler"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/dispatch"
	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/pool"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/telemetry"
)

// start builds the parts, inside out. What was started is in n.closers, whatever
// the error.
func (n *node) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		n.listen, n.openData, n.openTelemetry, n.findRuntimes, n.openDriver, n.openCatalog, n.buildPath, n.serve,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// dir makes a directory of the node below the data directory.
func (n *node) dir(name string) (string, error) {
	path := filepath.Join(n.cfg.DataDir, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", dataDirFault(n.cfg.DataDir, err)
	}
	return path, nil
}

func dataDirFault(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fault.Wrap(err, fault.Denied, "DataDir",
			"the data directory %s can't be written: run as its owner, or choose another with --data-dir", dir)
	}
	return fault.Wrap(err, fault.Unavailable, "DataDir", "the data directory %s can't be used", dir)
}

// openData claims the data directory by starting the engine in it, so that only
// one node goes on from here.
func (n *node) openData(ctx context.Context) error {
	dir, err := n.dir("engine")
	if err != nil {
		return err
	}
	if n.engine, err = engine.Start(ctx, engine.Config{Dir: dir, Log: n.log.With("part", "engine")}); err != nil {
		return err
	}
	n.onStop("engine", n.engine.Close)
	if n.roles, err = n.engine.Bucket(ctx, "roles"); err != nil {
		return err
	}
	if n.id, err = nodeID(n.cfg.DataDir); err != nil {
		return err
	}
	n.keys, err = auth.OpenKeys(n.cfg.DataDir)
	return err
}

var nodeIDPattern = regexp.MustCompile(`^[0-9a-f]{8}$`)

// nodeID returns the node's name, the same at every start: it marks what the
// node leaves on the machine if it crashes.
func nodeID(dataDir string) (string, error) {
	path := filepath.Join(dataDir, "node-id")
	if b, err := os.ReadFile(path); err == nil && nodeIDPattern.Match(b) {
		return string(b), nil
	}
	b := make([]byte, 4)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	id := hex.EncodeToString(b)
	if err := os.WriteFile(path+".tmp", []byte(id), 0o600); err != nil {
		return "", dataDirFault(dataDir, err)
	}
	return id, os.Rename(path+".tmp", path)
}

func (n *node) openTelemetry(ctx context.Context) error {
	dir, err := n.dir("telemetry")
	if err != nil {
		return err
	}
	n.store, err = telemetry.Open(ctx, telemetry.Config{
		Dir: dir, Retention: n.cfg.LogRetention, MaxBytes: int64(n.cfg.LogMaxSize), Log: n.log.With("part", "telemetry"),
	})
	if err != nil {
		return err
	}
	n.background(ctx, "telemetry", n.store.Run)
	return nil
}

func (n *node) openDriver(ctx context.Context) error {
	driver, err := openDriver(ctx, n)
	if err != nil {
		return err
	}
	n.driver = driver
	n.onStop("sandboxes", driver.Close)
	if err := driver.Sweep(ctx); err != nil {
		return fmt.Errorf("clear what an earlier run left behind: %w", err)
	}
	for _, g := range driver.Gaps() {
		n.log.WarnContext(ctx, "sandboxes are not fully isolated", "missing", g.What, "reason", g.Why, "fix", g.Fix)
	}
	return nil
}

func (n *node) openCatalog(ctx context.Context) error {
	dir, err := n.dir("code")
	if err != nil {
		return err
	}
	n.catalog, err = catalog.Open(ctx, catalog.Config{Engine: n.engine, Dir: dir, Log: n.log.With("part", "catalog")})
	if err != nil {
		return err
	}
	n.onStop("catalog", n.catalog.Close)
	n.background(ctx, "code preparation", n.catalog.Run)
	return nil
}

// buildPath builds the path of an invocation from dispatch to user code.
func (n *node) buildPath(ctx context.Context) error {
	adapters, err := n.adapters(ctx)
	if err != nil {
		return err
	}
	factory := environment.NewFactory(environment.Config{
		Driver:      n.driver,
		Adapters:    adapters,
		Resolve:     n.runtimes.Resolve,
		CodeDir:     n.catalog.CodeDir,
		CodeMounts:  n.caches.mounts,
		Environ:     n.environ,
		Inside:      func(l net.Listener, environment string) (string, io.Closer) { return n.inner.Serve(l, environment) },
		Lines:       n.store.Line,
		InitTimeout: n.cfg.InitTimeout,
		Log:         n.log.With("part", "environment"),
	})
	n.pools = pool.NewSet(n.poolConfig(factory))
	n.background(ctx, "environments", n.pools.Run)
	n.metrics = newMetrics(n)
	n.dispatcher = dispatch.New(dispatch.Config{
		Functions: n.catalog,
		Pools:     n.pools,
		Record: func(r *invocation.Record) {
			n.store.Record(r)
			n.metrics.record(r)
		},
		Log: n.log.With("part", "dispatch"),
	})
	n.inner = inner.New(inner.Config{
		Sealer: n.keys, Catalog: n.catalog, Invoker: n.dispatcher, Account: account, Region: n.cfg.Region, Log: n.log.With("part", "inner"),
	})
	n.onStop("inner api", n.inner.Close)
	n.catalog.OnChange(n.changed)
	n.keepDeployed() //nolint:contextcheck // what it begins outlives the start
	return nil
}

func (n *node) poolConfig(factory *environment.Factory) pool.Config {
	c := pool.Config{
		Factory:         factory,
		KeepWarm:        autoscaler.Hybrid{Fallback: n.cfg.IdleTimeout},
		FreezeAfter:     n.cfg.FreezeAfter,
		MaxConcurrency:  n.cfg.MaxConcurrency,
		MaxQueue:        n.cfg.MaxQueue,
		QueueTimeout:    n.cfg.QueueTimeout,
		MaxEnvironments: n.cfg.MaxEnvironments,
		MemoryBytes:     n.cfg.Memory.Bytes,
		Available:       availableMemory,
		Log:             n.log.With("part", "pool"),
	}
	if n.cfg.KeepWarm == "fixed" {
		c.KeepWarm = autoscaler.Fixed(n.cfg.IdleTimeout)
	}
	if n.cfg.Stems != "off" {
		c.StemMemoryBytes = n.cfg.StemMemory.Bytes
	}
	return c
}

// keepDeployed prepares for the functions that were deployed in earlier runs.
func (n *node) keepDeployed() {
	const page = 1000
	for after, more := "", true; more; {
		var list []*function.Function
		list, more = n.catalog.Functions(function.DefaultNamespace, after, page)
		for _, f := range list {
			if after = f.Name; f.State == function.Active {
				n.prepared(&f.Latest)
			}
		}
	}
}

// changed retires the environments of a version that was replaced or deleted, and
// prepares for one that can be invoked now.
func (n *node) changed(old, updated *function.Function) {
	if updated == nil {
		n.pools.Retire(old.Namespace, old.Name, function.Latest)
		n.pools.Forget(old.Namespace, old.Name)
		return
	}
	if old != nil && updated.Latest.Revision != old.Latest.Revision {
		n.pools.Retire(old.Namespace, old.Name, function.Latest)
	}
	if updated.State == function.Active {
		n.prepared(&updated.Latest)
	}
}

// prepared begins what makes the first call of a version faster.
func (n *node) prepared(v *function.Version) {
	n.pools.Keep(v)
	n.caches.want(v)
}

func (n *node) environ(v *function.Version, in language.Interpreter, id, endpoint string) map[string]string {
	return runtimeapi.Environ(v, runtimeapi.Params{
		Environment: id, Started: time.Now(), Region: n.cfg.Region, Interpreter: in,
		Endpoint: endpoint, Credentials: n.inner.Credentials(v, id),
	})
}
