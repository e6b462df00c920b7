// Package lambda serves the AWS Lambda API: functions, their code, URLs, tags
// and concurrency, and synchronous invocations. It translates between AWS's
// words and ours; what AWS has and this package lacks is refused by name.
//
// A [Service] keeps no state of its own and is safe for concurrent use.
package lambda

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
)

// Catalog is what the service needs of the catalog.
type Catalog interface {
	Function(namespace, name string) (*function.Function, error)
	Functions(namespace, after string, limit int) (fs []*function.Function, more bool)
	PutCode(ctx context.Context, zip []byte) (function.Code, error)
	CodeZip(ctx context.Context, sha256 string) (io.ReadCloser, error)
	Create(ctx context.Context, f catalog.NewFunction) (*function.Function, error)
	UpdateVersion(ctx context.Context, namespace, name, revision string, change func(*function.Version) error) (*function.Function, error)
	Update(ctx context.Context, namespace, name string, change func(*function.Function) error) (*function.Function, error)
	Delete(ctx context.Context, namespace, name string) error
}

// Invoker runs invocations.
type Invoker interface {
	Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)
}

// Sealer signs the links that code is downloaded by.
type Sealer interface {
	Seal(purpose, text string) string
	Sealed(purpose, text, seal string) bool
}

// Config is what the service needs.
type Config struct {
	Catalog Catalog
	Invoker Invoker
	Sealer  Sealer
	// Resolve says what runs a runtime identifier on this node.
	Resolve func(runtime string) (language.Resolution, error)
	// Account returns the account that a namespace is shown as.
	Account func(namespace string) string
	// Region is the node's region.
	Region string
	// GatewayPort is the data plane's port, which function URLs name.
	GatewayPort int
	// Concurrency is how many invocations may run on the node at once.
	Concurrency int
	Log         *slog.Logger // nil: discard
}

// Service serves the Lambda API.
type Service struct {
	Config

	routes routes
}

var _ protocol.Service = (*Service)(nil)

// New returns the service.
func New(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{Config: cfg, routes: newRoutes(operations)}
}

// The limits of request bodies, in bytes.
const (
	maxInvokeBody = invocation.MaxRequestBytes
	maxCodeBody   = 70167211
	maxOtherBody  = 1 << 20
)

// BodyLimit implements [protocol.Service].
func (s *Service) BodyLimit(r *http.Request) int64 {
	switch s.operationName(r) {
	case "Invoke":
		return maxInvokeBody
	case "CreateFunction", "UpdateFunctionCode":
		return maxCodeBody
	default:
		return maxOtherBody
	}
}

// TooLarge implements [protocol.Service].
func (s *Service) TooLarge(r *http.Request, size int64) error {
	name := s.operationName(r)
	if name == "Invoke" {
		if size >= 0 {
			return protocol.Errorf(http.StatusRequestEntityTooLarge, "RequestTooLargeException",
				"%d byte payload is too large for the RequestResponse invocation type (limit %d bytes)", size, maxInvokeBody)
		}
		name = "InvokeFunction"
	}
	code := "RequestEntityTooLargeException"
	if name == "InvokeFunction" {
		code = "RequestTooLargeException"
	}
	return protocol.Errorf(http.StatusRequestEntityTooLarge, code,
		"Request must be smaller than %d bytes for the %s operation", s.BodyLimit(r), name)
}

func (s *Service) operationName(r *http.Request) string {
	op, _, err := s.routes.match(r)
	if err != nil {
		return ""
	}
	return op.name
}

// Action implements [protocol.Service].
func (s *Service) Action(r *protocol.Request) string {
	if name := s.operationName(r.Request); name != "Invoke" {
		return name
	}
	return "InvokeFunction"
}

// call is a request on its way to the operation that serves it.
type call struct {
	*protocol.Request

	// params are the variable parts of the path, decoded.
	params []string
}

// Serve implements [protocol.Service].
func (s *Service) Serve(w http.ResponseWriter, r *protocol.Request) {
	op, params, err := s.routes.match(r.Request)
	switch {
	case err != nil:
	case op.serve == nil:
		err = protocol.NotImplemented(op.name)
	default:
		err = op.serve(s, w, &call{Request: r, params: params})
	}
	if err != nil {
		s.Refuse(w, r.ID, err)
	}
}

// Refuse implements [protocol.Service].
func (s *Service) Refuse(w http.ResponseWriter, requestID string, err error) {
	e := faults.Error(err)
	if e.Status == http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		s.Log.Error("request failed", "request_id", requestID, "err", err)
	}
	protocol.WriteJSONError(w, e)
}

func (s *Service) arn(c *call, name, qualifier string) string {
	return function.ARN{Partition: "aws", Region: s.Region, Account: c.Account, Name: name, Qualifier: qualifier}.String()
}
