package gateway

import (
	"context"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

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

// statusOf returns the status of a platform error; headers that are too large
// have one of their own.
func statusOf(e *fault.Error) int {
	if e.Reason == "HeadersTooLarge" {
		return http.StatusRequestHeaderFieldsTooLarge
	}
	if status, ok := statuses[e.Kind]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// fail answers with a platform error.
func (g *Gateway) fail(ctx context.Context, w http.ResponseWriter, q *request, err error) {
	e := fault.From(err)
	if e.Kind == fault.Internal {
		g.log.ErrorContext(ctx, "a request failed", "request_id", q.id, "reason", e.Reason, "err", err)
	}
	r := &response{status: statusOf(e), header: http.Header{"Content-Type": {typeJSON}}, reason: e.Reason}
	r.body = append(appendMember([]byte{'{'}, "Message", e.Detail), '}')
	if e.RetryAfter > 0 || e.Kind == fault.Throttled {
		r.header.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds())))))
	}
	g.send(w, q, r)
}

// send writes a response. The client's pace is bounded so that nobody can keep
// responses in our memory.
func (g *Gateway) send(w http.ResponseWriter, q *request, r *response) {
	h := w.Header()
	maps.Copy(h, r.header)
	if f := q.target.fn; f != nil && f.URL.CORS != nil {
		allowOrigin(f.URL.CORS, q.Request, h)
	}
	h.Set("X-Amzn-Requestid", q.id)
	h.Set(headerTrace, q.traceID)
	if r.reason != "" {
		h.Set("X-Amzn-Errortype", r.reason)
	}
	// Not every ResponseWriter has deadlines; the one of a real connection does.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	if r.status == http.StatusNoContent || r.status == http.StatusNotModified {
		w.WriteHeader(r.status)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(r.body)))
	w.WriteHeader(r.status)
	if q.Method != http.MethodHead {
		_, _ = w.Write(r.body) // a client that has gone is its own affair
	}
}
