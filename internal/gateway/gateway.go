// Package gateway is the data plane: it turns HTTP requests to function URLs
// into invocations and their results into HTTP responses, as AWS Lambda's
// function URLs do (payload format 2.0). It finds functions and invokes them
// through the interfaces of [Config]; listeners, TLS and timeouts between
// requests are its caller's.
//
// A [Gateway] is safe for concurrent use and starts no goroutine. The path of a
// request: find (route.go), authorize (auth.go), describe as event (event.go),
// invoke, read the function's reply (reply.go), respond.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
)

const (
	headerTrace = "X-Amzn-Trace-Id"
	// maxHeaderBytes bounds names and values of a request's headers.
	maxHeaderBytes = 64 << 10
	// bodyTimeout bounds the receiving of a request's body.
	bodyTimeout = time.Minute
	// writeTimeout bounds the sending of a response: 6 MiB at 20 KiB a second.
	writeTimeout = 5 * time.Minute
)

type functions interface {
	FunctionByURL(id string) (*function.Function, error)
	Function(namespace, name string) (*function.Function, error)
}

type invoker interface {
	Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)
}

// verifier checks AWS signatures over a request and its body.
type verifier interface {
	Verify(r *http.Request, body []byte, service string) (auth.Identity, error)
}

// Config is what a gateway works with.
type Config struct {
	// Functions finds the function that a request is for.
	Functions functions
	// Invoker runs invocations.
	Invoker invoker
	// Verifier checks requests to functions whose URL wants AWS_IAM; nil: such
	// requests are denied.
	Verifier verifier
	// Region is the one in the functions' ARNs and host names.
	Region string
	// Account returns the 12-digit account that a namespace is shown as.
	Account func(namespace string) string
	// Log receives the platform's own failures; nil discards.
	Log *slog.Logger
}

// Gateway serves function URLs.
type Gateway struct {
	cfg Config
	log *slog.Logger
}

var _ http.Handler = (*Gateway)(nil)

// New returns a gateway.
func New(cfg Config) *Gateway {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Gateway{cfg: cfg, log: log}
}

// request is one HTTP request on its way to a function.
type request struct {
	*http.Request
	id       string
	received time.Time
	traceID  string
	target   target
	caller   *auth.Identity // nil: anonymous
	body     []byte
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{Request: r, id: uuid.NewString(), received: time.Now()}
	q.traceID = invocation.Trace(r.Header.Get(headerTrace), q.received)
	ctx := r.Context()
	defer g.recoverPanic(ctx, w, q)
	res, err := g.serve(ctx, w, q)
	if err != nil {
		// Also when ctx is done: a client that has closed its half of the
		// connection may still listen.
		g.fail(ctx, w, q, err)
		return
	}
	g.send(w, q, res)
}

// serve takes q to its function and back.
func (g *Gateway) serve(ctx context.Context, w http.ResponseWriter, q *request) (*response, error) {
	var err error
	if q.target, err = g.route(q.Request); err != nil {
		return nil, err
	}
	if preflight := q.target.fn.URL.CORS; preflight != nil && isPreflight(q.Request) {
		return &response{status: http.StatusOK, header: preflightHeader(preflight, q.Request)}, nil
	}
	if err := checkHead(q.Request); err != nil {
		return nil, err
	}
	if err := g.mayKnock(q); err != nil {
		return nil, err
	}
	if q.body, err = readBody(w, q.Request); err != nil {
		return nil, err
	}
	if err := g.authorize(q); err != nil {
		return nil, err
	}
	payload := g.event(q)
	if len(payload) > invocation.MaxRequestBytes {
		return nil, errTooLarge()
	}
	f := q.target.fn
	result, err := g.cfg.Invoker.Invoke(ctx, &invocation.Invocation{
		ID:       q.id,
		Ref:      function.Ref{Namespace: f.Namespace, Name: f.Name, Qualifier: function.Latest},
		ARN:      function.ARN{Partition: "aws", Region: g.cfg.Region, Account: g.cfg.Account(f.Namespace), Name: f.Name}.String(),
		Payload:  payload,
		TraceID:  q.traceID,
		Trigger:  "url",
		Received: q.received,
	})
	if err != nil {
		return nil, err
	}
	return reply(f, result), nil
}

func (g *Gateway) recoverPanic(ctx context.Context, w http.ResponseWriter, q *request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // the value that net/http documents is passed on as it is
		panic(p)
	}
	g.log.ErrorContext(ctx, "a request panicked", "request_id", q.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	g.fail(ctx, w, q, fault.New(fault.Internal, "Internal", "the platform failed to handle the request"))
}

// checkHead refuses what can't become an event.
func checkHead(r *http.Request) error {
	if r.Header.Get("Upgrade") != "" && strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade") {
		return fault.New(fault.Unsupported, "UpgradeUnsupported",
			"function URLs do not take WebSocket or other upgrades: send an ordinary HTTP request")
	}
	size := 0
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	if size > maxHeaderBytes {
		return fault.New(fault.TooLarge, "HeadersTooLarge", "the request's headers take %d bytes, more than %d", size, maxHeaderBytes)
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > invocation.MaxRequestBytes {
		return nil, errTooLarge()
	}
	// Not every ResponseWriter has deadlines; the one of a real connection does.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := readAll(http.MaxBytesReader(w, r.Body, invocation.MaxRequestBytes), r.ContentLength)
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, errTooLarge()
		}
		return nil, fault.Wrap(err, fault.Invalid, "TruncatedRequest", "the request's body ended early or took longer than %s", bodyTimeout)
	}
	_ = rc.SetReadDeadline(time.Time{})
	return body, nil
}

// readAll is [io.ReadAll] that allocates once if the size is known.
func readAll(r io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		return io.ReadAll(r)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(r, body)
	return body, err
}

func errTooLarge() error {
	return fault.New(fault.TooLarge, "RequestTooLarge",
		"the request is larger than the %d bytes that an event may have (a body that is not text counts a third more)", invocation.MaxRequestBytes)
}
