package native

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

// problem is a [wire.Problem] on its way through huma.
type problem struct{ wire.Problem }

var (
	_ huma.StatusError       = (*problem)(nil)
	_ huma.HeadersError      = (*problem)(nil)
	_ huma.ContentTypeFilter = (*problem)(nil)
)

func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return wire.ProblemType }

// GetHeaders returns the headers that go with the problem.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfterSeconds > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfterSeconds))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="mayfly"`)
	}
	return h
}

// problem returns err as the caller sees it. The platform's own failures are
// logged here; a caller who has gone is none.
func (a *API) problem(ctx context.Context, err error) *problem {
	e, c := fault.From(err), callOf(ctx)
	if e.Kind == fault.Internal && ctx.Err() == nil {
		a.log.ErrorContext(ctx, "request failed", "request_id", c.id, "err", err)
	}
	return &problem{wire.NewProblem(e, c.id)}
}

// writeProblem writes an answer without huma.
func writeProblem(w http.ResponseWriter, p wire.Problem) {
	header := w.Header()
	maps.Copy(header, (&problem{p}).GetHeaders())
	header.Set("Content-Type", wire.ProblemType)
	w.WriteHeader(p.Status)
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers always marshal
		panic(err)
	}
	// A client that has gone can't be told.
	_, _ = w.Write(append(body, '\n'))
}

// ownErrors turns huma's errors about requests into problems.
func ownErrors(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	c := callOf(ctx.Context())
	p := &problem{wire.NewProblem(requestFault(m), c.id)}
	c.status = p.Status
	return p, nil
}

func requestFault(m *huma.ErrorModel) *fault.Error {
	switch m.Status {
	case http.StatusRequestEntityTooLarge:
		return fault.New(fault.TooLarge, "RequestTooLarge", "the body of the request is too large for this operation")
	case http.StatusRequestTimeout:
		return fault.New(fault.Timeout, "RequestTimeout", "the body of the request did not arrive in time")
	case http.StatusUnsupportedMediaType:
		return fault.New(fault.Invalid, "UnsupportedMediaType", "the body must be JSON: send Content-Type: application/json")
	case http.StatusInternalServerError:
		// Operations return problems, so this is huma failing to read the body.
		return fault.New(fault.Invalid, "RequestIncomplete", "the body of the request ended early")
	default:
		return fault.New(fault.Invalid, "InvalidRequest", "%s", requestDetail(m))
	}
}

// requestDetail makes one sentence of what huma found.
func requestDetail(m *huma.ErrorModel) string {
	parts := make([]string, 0, len(m.Errors))
	for _, e := range m.Errors {
		if e == nil {
			continue
		}
		part := e.Message
		if e.Location != "" {
			part = e.Location + ": " + part
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return m.Detail
	}
	return "the request is not valid: " + strings.Join(parts, "; ")
}

// embedded keeps the name Context free for the method of [recoded].
type embedded huma.Context

// recoded is a context whose status follows the problem that [ownErrors] made.
type recoded struct{ embedded }

// Unwrap returns the context below, for the router's adapter.
func (r recoded) Unwrap() huma.Context { return r.embedded }

// SetStatus sends the status of the problem, if there is one.
func (r recoded) SetStatus(code int) {
	if c := callOf(r.Context()); c.status != 0 {
		code = c.status
	}
	r.embedded.SetStatus(code)
}

// operation registers h: its faults become problems.
func operation[I, O any](a *API, op huma.Operation, h func(context.Context, *I) (*O, error)) {
	a.describeErrors(&op)
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
}

// incomplete classifies an error of reading a request's body.
func incomplete(err error) error {
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		return fault.Wrap(err, fault.Timeout, "RequestTimeout", "the body of the request did not arrive in time")
	}
	return fault.Wrap(err, fault.Invalid, "RequestIncomplete", "the body of the request ended early")
}
