package gateway

import (
	"context"
	"math"
	"net/http"
	"strconv"

	"mayfly.dev/mayfly/internal/fault"
)

// statuses is the gateway's word for each kind of platform error.
var statuses = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Invalid:         http.StatusBadRequest,
	fault.NotFound:        http.StatusNotFound,
	fault.AlreadyExists:   http.StatusConflict,
	fault.Conflict:        http.StatusServiceUnavailable, // the function is pending or failed
	fault.Unauthenticated: http.StatusForbidden,          // as AWS has it
	fault.Denied:          http.StatusForbidden,
	fault.Throttled:       http.StatusTooManyRequests,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Timeout:         http.StatusGatewayTimeout,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Unsupported:     http.StatusNotImplemented,
}

func statusOf(e *fault.Error) int {
	if status, ok := statuses[e.Kind]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// fail answers with a platform error.
func (g *Gateway) fail(ctx context.Context, q *request, err error) {
	e := fault.From(err)
	if e.Kind == fault.Internal {
		g.log.ErrorContext(ctx, "a request failed", "request_id", q.id, "reason", e.Reason, "err", err)
	}
	g.begin(q, statusOf(e))
	q.Field("Content-Type", typeJSON)
	if e.RetryAfter > 0 || e.Kind == fault.Throttled {
		q.Field("Retry-After", strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds())))))
	}
	q.endError(e.Reason, e.Detail)
}

func (g *Gateway) badGateway(q *request, reason string) {
	g.begin(q, http.StatusBadGateway)
	q.Field("Content-Type", typeJSON)
	q.endError(reason, "Internal Server Error")
}

// endError sends an error's word and sentence.
func (q *request) endError(reason, message string) {
	q.fieldIfAny(headerErrorType, reason)
	b := append(q.OpenBody(), '{')
	q.CloseBody(append(appendMember(b, "Message", message), '}'))
}

// begin begins an answer with what the platform says in all of them.
func (g *Gateway) begin(q *request, status int) {
	q.Begin(status)
	q.Field(headerRequestID, q.id)
	q.Field(headerTrace, q.traceID)
	if f := q.target.fn; f != nil && f.URL.CORS != nil {
		q.allowOrigin(f.URL.CORS)
	}
	if q.record != nil && string(q.Get(headerTiming)) == "1" {
		q.Field("Server-Timing", q.record.ServerTiming())
	}
}
