// Package inner serves the platform's API inside sandboxes: at an address of the
// sandbox's own network, to its function alone, with credentials that are valid
// only there. The handlers are those of the control plane (packages aws and
// native); what a function may do with them is decided here, and calls of other
// functions go from here to dispatch in this process.
//
// An [API] is safe for concurrent use. Each sandbox has a listener and a goroutine
// that accepts, which its closer ends and waits for; connections have one each,
// which end with the listener or, if they wait for another function, with that.
package inner

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/api/aws"
	"mayfly.dev/mayfly/internal/api/aws/lambda"
	"mayfly.dev/mayfly/internal/api/native"
	"mayfly.dev/mayfly/internal/invocation"
)

const (
	// headerTimeout is how long a begun request head may take. An idle connection
	// may wait for ever: it is kept while the environment is frozen.
	headerTimeout  = 10 * time.Second
	maxHeaderBytes = 64 << 10
)

// Invoker runs invocations.
type Invoker interface {
	Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)
}

// Catalog finds functions.
type Catalog interface {
	lambda.Catalog
	native.Functions
}

// Sealer signs what only this node may say. [auth.Keys] does.
type Sealer interface {
	Seal(purpose, text string) string
	Sealed(purpose, text, seal string) bool
}

// Config is what the API needs.
type Config struct {
	Sealer  Sealer
	Catalog Catalog
	Invoker Invoker
	// Account returns the 12-digit account that a namespace is shown as.
	Account func(namespace string) string
	Region  string
	Log     *slog.Logger // nil: discard
}

// API serves sandboxes.
type API struct {
	keys   keys
	server *http.Server
	aws    http.Handler
	// native is made when it is asked for: its description takes a few milliseconds
	// and megabytes, and few functions speak it.
	native func() http.Handler
}

// New returns an API. Close ends it.
func New(cfg Config) *API {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a := &API{keys: keys{cfg.Sealer}}
	calls := invoker{cfg.Invoker}
	a.aws = aws.New(aws.Config{
		Keys: a.keys, Catalog: cfg.Catalog, Invoker: calls, Account: cfg.Account, Region: cfg.Region,
		Allow: func(action string) bool { return allowed[action] }, Log: cfg.Log,
	})
	a.native = sync.OnceValue(func() http.Handler {
		return native.New(native.Config{
			Functions: cfg.Catalog, Invoker: calls, Keys: a.keys, Account: cfg.Account, Region: cfg.Region, Log: cfg.Log,
		})
	})
	a.server = &http.Server{
		Handler: http.HandlerFunc(a.serve), ConnContext: withEnvironment,
		ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return a
}

// Close ends all listeners and connections.
func (a *API) Close() error { return a.server.Close() }

// Serve serves the function of the execution environment of that id on a listener
// in its sandbox. It returns the URL that reaches it and what ends it.
func (a *API) Serve(ln net.Listener, environment string) (url string, end io.Closer) {
	l := &listener{Listener: ln, environment: environment, conns: map[net.Conn]struct{}{}, ended: make(chan struct{})}
	go func() { // l.Close waits for it
		defer close(l.ended)
		_ = a.server.Serve(l) // says only that the listener was closed
	}()
	return "http://" + ln.Addr().String(), ending{l}
}

// serve answers one request of a function.
func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	a.withhold(r, environmentOf(r.Context()))
	switch {
	case !strings.HasPrefix(r.URL.Path, "/v1/"):
		a.aws.ServeHTTP(w, r)
	case isNativeInvoke(r):
		a.native().ServeHTTP(w, r)
	default:
		denyNative(w, r)
	}
}
