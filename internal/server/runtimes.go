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

	scans chan struct{} // has a value when a scan has ended since Prepare looked

	mu      sync.Mutex
	found   []language.Interpreter
	scanned time.Time
}

func (n *node) findRuntimes(ctx context.Context) error {
	n.runtimes = &runtimes{
		finder: language.Finder{CacheFile: filepath.Join(n.cfg.DataDir, "interpreters.json"), Log: n.log.With("part", "language")},
		log:    n.log,
		scans:  make(chan struct{}, 1),
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
	r.keep(found)
	return nil
}

func (r *runtimes) keep(found []language.Interpreter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found, r.scanned = found, time.Now()
	select {
	case r.scans <- struct{}{}:
	default: // Prepare has not looked since the last one and will see this too
	}
}

// Prepare calls prepare once for each interpreter, one after the other and those
// of later scans as well, until ctx is done. It is about speed alone: what fails
// is logged.
func (r *runtimes) Prepare(ctx context.Context, prepare func(context.Context, language.Interpreter) error) error {
	done := make(map[language.Interpreter]bool)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.scans:
		}
		for _, in := range r.Interpreters() {
			if done[in] || ctx.Err() != nil {
				continue
			}
			done[in] = true
			if err := prepare(ctx, in); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "an interpreter could not be prepared and will start slower", "interpreter", in.Path, "err", err)
			}
		}
	}
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
func (n *node) adapters(ctx context.Context) (map[language.Family]runtimeapi.Adapter, error) {
	dir, err := n.dir("runtime")
	if err != nil {
		return nil, err
	}
	shims, err := shim.New(shim.Config{Dir: dir, Log: n.log.With("part", "shim")})
	if err != nil {
		return nil, err
	}
	if err := n.openCodeCaches(ctx, shims); err != nil {
		return nil, err
	}
	n.background(ctx, "interpreters", func(ctx context.Context) error { return n.runtimes.Prepare(ctx, shims.Prepare) })
	return map[language.Family]runtimeapi.Adapter{
		language.Node:     shims,
		language.Python:   shims,
		language.Provided: lambda.New(lambda.Config{Log: n.log.With("part", "runtimeapi")}),
	}, nil
}
