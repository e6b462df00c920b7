package server

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/lambda"
	"mayfly.dev/mayfly/internal/runtimeapi/shim"
)

const (
	scanTimeout = 30 * time.Second
	// rescanAfter is how old an answer may be before an interpreter that was not
	// found is looked for again: somebody may have just installed it.
	rescanAfter = 5 * time.Second
)

// runtimes knows which interpreters serve which runtime identifiers here.
type runtimes struct {
	finder language.Finder
	log    *slog.Logger

	mu      sync.Mutex
	found   []language.Interpreter
	scanned time.Time
}

func (n *node) findRuntimes(ctx context.Context) error {
	n.runtimes = &runtimes{
		finder: language.Finder{CacheFile: filepath.Join(n.cfg.DataDir, "interpreters.json"), Log: n.log.With("part", "language")},
		log:    n.log,
	}
	return n.runtimes.scan(ctx)
}

func (r *runtimes) scan(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	found, err := r.finder.Scan(ctx)
	if err != nil {
		return fmt.Errorf("look for interpreters: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found, r.scanned = found, time.Now()
	return nil
}

// Identifiers lists the known runtime identifiers.
func (r *runtimes) Identifiers() []string { return language.Identifiers() }

// Interpreters lists what was found on this machine.
func (r *runtimes) Interpreters() []language.Interpreter {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found
}

// Resolve says what serves a runtime identifier.
func (r *runtimes) Resolve(runtime string) (language.Resolution, error) {
	r.mu.Lock()
	found, old := r.found, time.Since(r.scanned) > rescanAfter
	r.mu.Unlock()
	resolution, err := language.Resolve(runtime, found)
	if !old || !fault.Is(err, fault.Unsupported, "RuntimeNotFound") {
		return resolution, err
	}
	if err := r.scan(context.Background()); err != nil {
		r.log.Warn("interpreters could not be looked for again", "err", err)
	}
	return language.Resolve(runtime, r.Interpreters())
}

// adapters is the table of the ways to speak to user code.
func (n *node) adapters() (map[language.Family]runtimeapi.Adapter, error) {
	dir, err := n.dir("runtime")
	if err != nil {
		return nil, err
	}
	shims, err := shim.New(shim.Config{Dir: dir, Log: n.log.With("part", "shim")})
	if err != nil {
		return nil, err
	}
	return map[language.Family]runtimeapi.Adapter{
		language.Node:     shims,
		language.Python:   shims,
		language.Provided: lambda.New(lambda.Config{Log: n.log.With("part", "runtimeapi")}),
	}, nil
}
