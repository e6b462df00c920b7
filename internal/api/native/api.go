// Package native serves the platform's own REST API under /v1/, for the CLI, the
// console and programs that don't speak a cloud's dialect. The shapes are in
// package wire, a typed client in package client; what the operations do is the
// catalog's, the dispatcher's and the telemetry store's business, which it knows
// by small interfaces.
//
// huma routes, checks and documents the operations (docs/openapi.json is
// generated from them); every error leaves as a [wire.Problem]. Payloads and code
// packages pass beside huma's JSON codec, byte for byte. An [API] is safe for
// concurrent use. The requests themselves own all goroutines: log streams end
// with their client or when Config.Stopping is closed.
package native

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/pool"
	"mayfly.dev/mayfly/internal/telemetry"
)

//go:generate go run ./gen ../../../docs/openapi.json

var _ Functions = (*catalog.Catalog)(nil)

// Config is what the API is made of. All fields are needed but Stopping and Log.
type Config struct {
	Functions    Functions
	Invoker      Invoker
	Telemetry    Telemetry
	Environments Environments
	Runtimes     Runtimes
	Keys         Keys
	// Node describes this node as it is now.
	Node func(context.Context) wire.Node
	// Region and Account make ARNs.
	Region  string
	Account func(namespace string) string
	// NewURLID makes the id of a function URL, URLAddress the address of an id.
	NewURLID   func() string
	URLAddress func(id string) string
	// Stopping is closed when the node begins to drain: log streams end then.
	Stopping <-chan struct{}
	Log      *slog.Logger
}

// Functions is what the API needs of a [catalog.Catalog], with its faults.
type Functions interface {
	Function(namespace, name string) (*function.Function, error)
	Functions(namespace, after string, limit int) (fs []*function.Function, more bool)
	PutCode(ctx context.Context, zip []byte) (function.Code, error)
	CodeZip(ctx context.Context, sha256 string) (io.ReadCloser, error)
	Create(ctx context.Context, n catalog.NewFunction) (*function.Function, error)
	UpdateVersion(ctx context.Context, namespace, name, revision string, change func(*function.Version) error) (*function.Function, error)
	Update(ctx context.Context, namespace, name string, change func(*function.Function) error) (*function.Function, error)
	Delete(ctx context.Context, namespace, name string) error
	Settled(ctx context.Context, namespace, name string) (*function.Function, error)
}

// Invoker runs invocations.
type Invoker interface {
	Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)
}

// Telemetry answers what happened.
type Telemetry interface {
	Logs(ctx context.Context, q telemetry.LogQuery) ([]telemetry.Line, error)
	Follow(ctx context.Context, q telemetry.LogQuery, fn func(telemetry.Line) error) error
	Records(ctx context.Context, q telemetry.RecordQuery) ([]telemetry.StoredRecord, error)
	RecordOf(ctx context.Context, requestID string) (invocation.Record, error)
}

// Environments tells which environments live.
type Environments interface {
	Status(namespace, name string) []pool.Status
}

// Runtimes tells what serves a runtime identifier on this machine.
type Runtimes interface {
	// Identifiers lists the known identifiers, Interpreters what was found.
	Identifiers() []string
	Interpreters() []language.Interpreter
	Resolve(runtime string) (language.Resolution, error)
}

// Keys tells whom a bearer token belongs to.
type Keys interface {
	ByToken(token string) (auth.Identity, bool)
}

// API serves the native API. It answers every path under /v1/.
type API struct {
	cfg      Config
	log      *slog.Logger
	mux      *http.ServeMux
	huma     huma.API
	document []byte
	uploads  chan struct{} // one element for each upload that may be in memory
	streams  chan struct{} // one element for each log stream
}

const (
	maxUploads = 4
	maxStreams = 64
)

// New returns the API.
func New(cfg Config) *API {
	a := &API{
		cfg: cfg, log: cfg.Log, mux: http.NewServeMux(),
		uploads: make(chan struct{}, maxUploads),
		streams: make(chan struct{}, maxStreams),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.huma = humago.New(a.mux, description())
	a.huma.UseMiddleware(a.authenticate)
	a.registerFunctions()
	a.registerCode()
	a.registerAddresses()
	a.registerInvocations()
	a.registerLogs()
	a.registerNode()
	a.finishDescription()
	a.mux.HandleFunc("/", a.notFound)
	return a
}

// call is what belongs to one HTTP request.
type call struct {
	id       string
	received time.Time
	identity auth.Identity
	writer   http.ResponseWriter
	// status replaces the status that huma chose for an error of its own.
	status int
}

type callKey struct{}

// callOf returns the call that a request's context belongs to.
func callOf(ctx context.Context) *call {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok { // ServeHTTP puts it there
		panic("a context without its call")
	}
	return c
}

// ServeHTTP answers one request. A panic is answered as Internal, if there is
// still time for an answer.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{id: uuid.NewString(), received: time.Now(), writer: w}
	ctx := context.WithValue(r.Context(), callKey{}, c)
	w.Header().Set(wire.HeaderRequestID, c.id)
	defer func() {
		switch v := recover(); {
		case v == nil:
		case v == http.ErrAbortHandler: //nolint:errorlint // the value that net/http compares with
			panic(v)
		case ctx.Err() != nil: // huma panics when it can't write to a client that has gone
			a.log.DebugContext(ctx, "client has gone", "request_id", c.id, "err", fmt.Sprint(v))
		default:
			a.log.ErrorContext(ctx, "panic while serving", "request_id", c.id, "path", r.URL.Path,
				"err", fmt.Sprint(v), "stack", string(debug.Stack()))
			writeProblem(w, wire.NewProblem(fault.From(nil), c.id))
		}
	}()
	a.mux.ServeHTTP(w, r.WithContext(ctx))
}

// notFound answers what no operation matches.
func (a *API) notFound(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := a.mux.Handler(probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	e := fault.New(fault.NotFound, "PathNotFound", "the API has no %s: see /v1/openapi.json for what there is", r.URL.Path)
	if len(allowed) > 0 {
		for _, method := range allowed {
			w.Header().Add("Allow", method)
		}
		e = fault.New(fault.Invalid, "MethodNotAllowed", "%s does not take %s: use one of %v", r.URL.Path, r.Method, allowed)
	}
	writeProblem(w, wire.NewProblem(e, c.id))
}
