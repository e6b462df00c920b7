// Package server builds every part of a node and runs them as one process. It is
// the only place that names concrete drivers and adapters. Parts start inside
// out and stop outside in: readiness fails, listeners close, invocations drain,
// environments end, the engine stops. Two nodes can run in one process.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/api/inner"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/dispatch"
	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/gateway/http1"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/pool"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/telemetry"
)

// Options is what a node needs beside its configuration.
type Options struct {
	// Version is the program's version.
	Version string
	// Log receives the node's own log; nil discards it.
	Log *slog.Logger
	// Ready is called once when the node serves; nil: nobody asks.
	Ready func(Info)
}

// Info is what a node says when it serves.
type Info struct {
	// Control and Gateway are base URLs.
	Control, Gateway string
	// Driver isolates execution environments; Gaps is what it can't enforce.
	Driver       string
	Gaps         []sandbox.Gap
	Interpreters []language.Interpreter
}

// node is a server while it runs.
type node struct {
	cfg     config.Config
	opts    Options
	log     *slog.Logger
	started time.Time
	id      string

	controlListener, gatewayListener net.Listener
	gateway                          *http1.Server

	keys       *auth.Keys
	engine     *engine.Engine
	roles      *engine.Bucket
	store      *telemetry.Store
	runtimes   *runtimes
	driver     sandbox.Driver
	catalog    *catalog.Catalog
	caches     *codeCaches
	pools      *pool.Set
	dispatcher *dispatch.Dispatcher
	inner      *inner.API
	metrics    *metrics

	stopping chan struct{} // closed when the node begins to drain
	failed   chan error    // the first part that ended by itself
	closers  []closer      // in the order of the start
}

type closer struct {
	name  string
	close func() error
}

// Run runs a node until ctx is done and it has drained, or until it can't go on.
func Run(ctx context.Context, cfg config.Config, opts Options) (err error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	n := &node{
		cfg: cfg, opts: opts, log: opts.Log, started: time.Now(),
		stopping: make(chan struct{}), failed: make(chan error, 1),
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	err = n.start(ctx)
	if ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, context.Canceled)) {
		return nil // told to stop before it served
	}
	if err != nil {
		return err
	}
	if opts.Ready != nil {
		opts.Ready(Info{
			Control: baseURL(n.controlListener), Gateway: baseURL(n.gatewayListener),
			Driver: n.driver.Name(), Gaps: n.driver.Gaps(), Interpreters: n.runtimes.Interpreters(),
		})
	}
	n.log.InfoContext(ctx, "node is up", "control", n.controlListener.Addr().String(), "gateway", n.gatewayListener.Addr().String(),
		"driver", n.driver.Name(), "duration", time.Since(n.started))
	select {
	case <-ctx.Done():
		n.log.InfoContext(ctx, "node is stopping", "in_flight", n.dispatcher.InFlight())
		return nil
	case err := <-n.failed:
		return err
	}
}

// background runs a part until the node stops; the part's own end is the node's.
func (n *node) background(ctx context.Context, name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		done <- err
		if ctx.Err() == nil {
			select {
			case n.failed <- fmt.Errorf("%s ended: %w", name, err):
			default:
			}
		}
	}()
	n.onStop(name, func() error {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
}

func (n *node) onStop(name string, fn func() error) {
	n.closers = append(n.closers, closer{name, fn})
}

// stop ends all parts that were started, the last first.
func (n *node) stop() error {
	var failures []error
	for _, c := range slices.Backward(n.closers) {
		if err := c.close(); err != nil {
			failures = append(failures, fmt.Errorf("stop %s: %w", c.name, err))
		}
	}
	return errors.Join(failures...)
}

func baseURL(l net.Listener) string { return "http://" + l.Addr().String() }
