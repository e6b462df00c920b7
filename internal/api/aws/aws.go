// Package aws is the front that AWS clients speak to: it verifies a request's
// signature and hands it to the service that its credential is scoped to. What
// the services mean is in the packages below; a service that mayfly lacks is
// refused in the form that its clients read.
//
// A [Handler] is safe for concurrent use.
package aws

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"mayfly.dev/mayfly/internal/api/aws/iam"
	"mayfly.dev/mayfly/internal/api/aws/lambda"
	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/api/aws/sts"
	"mayfly.dev/mayfly/internal/auth/sigv4"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/language"
)

const (
	// largeBody is the size above which few bodies are held at a time.
	largeBody = 8 << 20
	// largeBodies is how many those are: each takes its size a few times over
	// while it is decoded.
	largeBodies = 2
	// bodyTimeout is how long a client may take to send a body.
	bodyTimeout = 5 * time.Minute
	// maxDrained is how much of a body above the limit is read and thrown away,
	// so that the client gets to see the answer.
	maxDrained = 100 << 20
)

// Keys are the credentials that the node accepts. [auth.Keys] is one.
type Keys interface {
	sigv4.Secrets
	sts.Sessions
	lambda.Sealer
}

// Config is what the front needs.
type Config struct {
	Keys    Keys
	Catalog lambda.Catalog
	Invoker lambda.Invoker
	// Roles keeps IAM's roles.
	Roles iam.Store
	// Resolve says what runs a runtime identifier on this node.
	Resolve func(runtime string) (language.Resolution, error)
	// Account returns the 12-digit account that a namespace is shown as.
	Account func(namespace string) string
	// Region is the only region that requests may be signed for.
	Region string
	// GatewayPort is the data plane's port, which function URLs name.
	GatewayPort int
	// Concurrency is how many invocations may run on the node at once.
	Concurrency int
	// Allow reports whether callers may do what IAM calls by that name, such as
	// lambda:InvokeFunction; nil: everything. With it, links to code are not served.
	Allow func(action string) bool
	Log   *slog.Logger // nil: discard
}

// Handler serves the AWS dialect.
type Handler struct {
	verifier sigv4.Verifier
	services map[string]protocol.Service
	lambda   *lambda.Service
	account  func(namespace string) string
	region   string
	allow    func(action string) bool
	log      *slog.Logger
	large    chan struct{} // a place for each large body
}

var _ http.Handler = (*Handler)(nil)

// New returns the front.
func New(cfg Config) *Handler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	functions := lambda.New(lambda.Config{
		Catalog: cfg.Catalog, Invoker: cfg.Invoker, Sealer: cfg.Keys, Resolve: cfg.Resolve, Region: cfg.Region,
		GatewayPort: cfg.GatewayPort, Concurrency: cfg.Concurrency, Log: cfg.Log,
	})
	roles := iam.New(iam.Config{Store: cfg.Roles, Account: cfg.Account, Log: cfg.Log})
	return &Handler{
		verifier: sigv4.Verifier{Secrets: cfg.Keys, Region: cfg.Region},
		services: map[string]protocol.Service{
			"lambda": functions,
			"iam":    roles,
			"sts":    sts.New(sts.Config{Roles: roles, Sessions: cfg.Keys, Log: cfg.Log}),
		},
		lambda: functions, account: cfg.Account, region: cfg.Region, allow: cfg.Allow, log: cfg.Log,
		large: make(chan struct{}, largeBodies),
	}
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	w.Header()["x-amzn-RequestId"] = []string{id}
	refuser, name := h.guess(r)
	defer h.recover(w, id, refuser)
	if strings.HasPrefix(r.URL.Path, lambda.CodePath) && h.allow == nil {
		h.lambda.ServeCode(w, r, id)
		return
	}
	if err := h.serve(w, r, id, name); err != nil {
		refuser.Refuse(w, id, err)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, id, name string) error {
	signature, err := h.verifier.Begin(r)
	if err != nil {
		return err
	}
	service, ok := h.services[signature.Service]
	if !ok || signature.Service != name {
		return protocol.NotImplemented("The service '" + signature.Service + "'")
	}
	release, err := h.admit(r)
	if err != nil {
		return err
	}
	defer release()
	body, err := readBody(w, r, service)
	if err != nil {
		return err
	}
	if err := signature.Verify(body); err != nil {
		return err
	}
	request := &protocol.Request{
		Request: r, ID: id, Identity: signature.Identity, Account: h.account(signature.Identity.Namespace),
		Region: h.region, Payload: body,
	}
	if err := h.authorize(service, signature.Service, request); err != nil {
		return err
	}
	service.Serve(w, request)
	return nil
}

// authorize checks that the caller may do what it asks for.
func (h *Handler) authorize(service protocol.Service, name string, r *protocol.Request) error {
	if h.allow == nil {
		return nil
	}
	action := name + ":" + service.Action(r)
	if h.allow(action) {
		return nil
	}
	return fault.New(fault.Denied, "AccessDenied", "User: %s is not authorized to perform: %s", sts.ARN(r.Account, r.Identity), action)
}

// recover answers for a handler that panicked.
func (h *Handler) recover(w http.ResponseWriter, id string, refuser protocol.Refuser) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // a sentinel that is thrown, not wrapped
		panic(p)
	}
	h.log.Error("request handler panicked", "request_id", id, "panic", p, "stack", string(debug.Stack()))
	refuser.Refuse(w, id, errors.New("panic"))
}

// admit waits for a place if the body is large.
func (h *Handler) admit(r *http.Request) (release func(), err error) {
	if r.ContentLength >= 0 && r.ContentLength <= largeBody {
		return func() {}, nil
	}
	select {
	case h.large <- struct{}{}:
		return func() { <-h.large }, nil
	case <-r.Context().Done():
		return nil, fault.Wrap(context.Cause(r.Context()), fault.Unavailable, "Canceled", "the client went away")
	}
}

// readBody reads a body within the service's limit.
func readBody(w http.ResponseWriter, r *http.Request, service protocol.Service) ([]byte, error) {
	control := http.NewResponseController(w)
	if r.ContentLength != 0 {
		// Not every writer has deadlines; the server's own timeouts hold anyway.
		_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	limit := service.BodyLimit(r)
	if r.ContentLength > limit {
		_, _ = io.CopyN(io.Discard, r.Body, min(r.ContentLength, maxDrained))
		return nil, service.TooLarge(r, r.ContentLength)
	}
	body, err := readAll(io.LimitReader(r.Body, limit+1), r.ContentLength)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "BodyCutOff", "The request body ended before all of it had arrived.")
	}
	if int64(len(body)) > limit {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
		return nil, service.TooLarge(r, -1)
	}
	return body, nil
}

// readAll is [io.ReadAll] without growing a buffer when the size is known.
func readAll(r io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		return io.ReadAll(r)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(r, body)
	return body, err
}

var scopePattern = regexp.MustCompile(`/([a-z0-9-]{1,64})/aws4_request\b`)

// guess returns the service that a request is for by its credential scope or
// else by its form, so that even an unsigned one is answered in a form that its
// client reads. The name is empty if there is no scope.
func (h *Handler) guess(r *http.Request) (refuser protocol.Refuser, name string) {
	scope := r.Header.Get("Authorization")
	if scope == "" {
		scope = r.URL.Query().Get("X-Amz-Credential")
	}
	if m := scopePattern.FindStringSubmatch(scope); m != nil {
		name = m[1]
	}
	if service, ok := h.services[name]; ok {
		return service, name
	}
	switch {
	case name == "s3":
		return refuseXML{}, name
	case r.Header.Get("X-Amz-Target") != "":
		return refuseTarget{}, name
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		return h.services["sts"], name
	default:
		return h.lambda, name
	}
}
