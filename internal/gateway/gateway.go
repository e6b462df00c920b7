// Package gateway is the data plane: it turns HTTP requests to function URLs
// into invocations and their results into HTTP responses, as AWS Lambda's
// function URLs do (payload format 2.0). It finds functions and invokes them
// through the interfaces of [Config]; connections, and what HTTP says about them,
// are http1's.
//
// A [Gateway] is safe for concurrent use and starts no goroutine. The path of a
// request: find (route.go), authorize (auth.go), describe as event (event.go,
// headers.go, query.go), invoke, read the function's reply (reply.go), respond
// (respond.go).
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/gateway/http1"
	"mayfly.dev/mayfly/internal/invocation"
)

const (
	headerTrace     = "X-Amzn-Trace-Id"
	headerRequestID = "X-Amzn-Requestid"
	headerErrorType = "X-Amzn-Errortype"
)

// headerTiming asks for Server-Timing when its value is 1.
var headerTiming = strings.ToLower(invocation.TimingRequestHeader)

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
	cfg    Config
	log    *slog.Logger
	random random
}

var _ http1.Handler = (*Gateway)(nil)

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
	*http1.Exchange
	id, traceID string
	target      target
	caller      *auth.Identity // nil: anonymous
	// event begins with the body as it came, until it is written out.
	event []byte
	// record tells how the call went; nil: it did not reach the function.
	record *invocation.Record
}

// Serve implements [http1.Handler].
func (g *Gateway) Serve(ctx context.Context, x *http1.Exchange) {
	q := &request{Exchange: x}
	g.identify(q)
	defer g.recoverPanic(ctx, q)
	result, err := g.call(ctx, q)
	switch {
	case err != nil:
		// Also when ctx is done: a client that has closed its half of the
		// connection may still listen.
		g.fail(ctx, q, err)
	case result != nil:
		q.record = result.Record
		g.reply(q, result)
	}
}

// call takes q to its function. Without a result and an error q was answered on
// the way.
func (g *Gateway) call(ctx context.Context, q *request) (*invocation.Result, error) {
	if err := g.route(q); err != nil {
		return nil, err
	}
	f := q.target.fn
	if f.URL.CORS != nil && q.isPreflight() {
		g.preflight(q)
		return nil, nil
	}
	if err := checkUpgrade(q); err != nil {
		return nil, err
	}
	if err := g.mayKnock(q); err != nil {
		return nil, err
	}
	if err := q.readBody(); err != nil {
		return nil, err
	}
	if err := g.authorize(q); err != nil {
		return nil, err
	}
	g.describe(q)
	if len(q.event) > invocation.MaxRequestBytes {
		return nil, errTooLarge()
	}
	return g.cfg.Invoker.Invoke(ctx, &invocation.Invocation{
		ID:       q.id,
		Ref:      function.Ref{Namespace: f.Namespace, Name: f.Name, Qualifier: function.Latest},
		ARN:      function.ARN{Partition: "aws", Region: g.cfg.Region, Account: g.cfg.Account(f.Namespace), Name: f.Name}.String(),
		Payload:  q.event,
		TraceID:  q.traceID,
		Trigger:  "url",
		Received: q.Received,
	})
}

func (g *Gateway) recoverPanic(ctx context.Context, q *request) {
	p := recover()
	if p == nil {
		return
	}
	g.log.ErrorContext(ctx, "a request panicked", "request_id", q.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	g.fail(ctx, q, fault.New(fault.Internal, "Internal", "the platform failed to handle the request"))
}

// checkUpgrade refuses what asks for more than HTTP.
func checkUpgrade(q *request) error {
	if len(q.Get("upgrade")) == 0 {
		return nil
	}
	upgrade := false
	http1.EachToken(q.Get("connection"), func(token []byte) {
		upgrade = upgrade || http1.EqualFold(token, "upgrade")
	})
	if !upgrade {
		return nil
	}
	return fault.New(fault.Unsupported, "UpgradeUnsupported",
		"function URLs do not take WebSocket or other upgrades: send an ordinary HTTP request")
}

// readBody reads the body into the memory of the event, where it stays.
func (q *request) readBody() error {
	var err error
	q.event, err = q.ReadBody(bodyMember, invocation.MaxRequestBytes, q.eventRoom())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, http1.ErrBodyTooLarge):
		return errTooLarge()
	default:
		return fault.Wrap(err, fault.Invalid, "TruncatedRequest", "the request's body is malformed, ended early or took longer than a minute")
	}
}

func errTooLarge() error {
	return fault.New(fault.TooLarge, "RequestTooLarge",
		"the request is larger than the %d bytes that an event may have (a body that is not text counts a third more)", invocation.MaxRequestBytes)
}
