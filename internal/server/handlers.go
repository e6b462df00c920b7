package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/api/aws"
	"mayfly.dev/mayfly/internal/api/native"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/auth/sigv4"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/gateway"
)

// controlHandler serves the control plane: health, metrics and the native API by
// path, everything else in the cloud's dialect that the request is signed in.
func (n *node) controlHandler() http.Handler {
	api := native.New(native.Config{
		Functions: n.catalog, Invoker: n.dispatcher, Telemetry: n.store, Environments: n.pools,
		Runtimes: n.runtimes, Keys: n.keys, Node: n.describe, Region: n.cfg.Region, Account: account,
		NewURLID: catalog.NewURLID, URLAddress: n.urlAddress, Stopping: n.stopping, Log: n.log.With("part", "api"),
	})
	cloud := aws.New(aws.Config{
		Keys: n.keys, Catalog: n.catalog, Invoker: n.dispatcher, Roles: n.roles, Resolve: n.runtimes.Resolve,
		Account: account, Region: n.cfg.Region, GatewayPort: port(n.gatewayListener), Concurrency: n.cfg.MaxConcurrency,
		Log: n.log.With("part", "aws"),
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", n.ready)
	mux.Handle("GET /metrics", n.metrics.handler())
	mux.Handle("/v1/", api)
	mux.Handle("GET "+profilesPath, profiles{n.keys})
	return byPath{mux: mux, rest: cloud}
}

// byPath keeps the mux from cleaning and redirecting paths that are not its own:
// they are part of what an AWS client signed.
type byPath struct {
	mux  *http.ServeMux
	rest http.Handler
}

func (h byPath) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch p := r.URL.Path; {
	case p == "/healthz", p == "/readyz", p == "/metrics", strings.HasPrefix(p, "/v1/"):
		h.mux.ServeHTTP(w, r)
	default:
		h.rest.ServeHTTP(w, r)
	}
}

func (n *node) gatewayHandler() *gateway.Gateway {
	return gateway.New(gateway.Config{
		Functions: n.catalog, Invoker: n.dispatcher, Verifier: &sigv4.Verifier{Secrets: n.keys, Region: n.cfg.Region},
		Region: n.cfg.Region, Account: account, Log: n.log.With("part", "gateway"),
	})
}

func (n *node) ready(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-n.stopping:
		http.Error(w, "stopping", http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ready")
	}
}

// account returns the 12-digit account that a namespace is shown as. There is one
// namespace today.
func account(string) string { return function.DefaultAccount }

func (n *node) urlAddress(id string) string {
	return fmt.Sprintf("http://%s.localhost:%d/", id, port(n.gatewayListener))
}

func port(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// describe says what the node is and does now.
func (n *node) describe(context.Context) wire.Node {
	totals := n.pools.Totals()
	gaps := []wire.Gap{}
	for _, g := range n.driver.Gaps() {
		gaps = append(gaps, wire.Gap{What: g.What, Why: g.Why, Fix: g.Fix})
	}
	return wire.Node{
		Version: n.opts.Version, Started: n.started, UptimeSeconds: time.Since(n.started).Seconds(),
		Region: n.cfg.Region, Gateway: baseURL(n.gatewayListener), Driver: n.driver.Name(), Gaps: gaps,
		Limits: wire.NodeLimits{
			Concurrency: n.cfg.MaxConcurrency, EnvironmentsPerFunction: n.cfg.MaxEnvironments,
			QueuePerFunction: n.cfg.MaxQueue, MemoryMB: totals.MemoryLimitBytes >> 20,
		},
		Running: wire.NodeLoad{
			Invocations: n.dispatcher.InFlight(), Waiting: totals.Waiting, Environments: totals.Idle + totals.Busy,
			Idle: totals.Idle, Frozen: totals.Frozen, Starting: totals.Starting, Stems: totals.Stems, MemoryMB: totals.MemoryBytes >> 20,
		},
	}
}
