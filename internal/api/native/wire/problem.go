package wire

import (
	"net/http"

	"mayfly.dev/mayfly/internal/fault"
)

// ProblemType is the content type of errors (RFC 9457).
const ProblemType = "application/problem+json"

// Problem is the body of every error.
type Problem struct {
	Title  string `json:"title" doc:"The meaning of the status" example:"Not Found"`
	Status int    `json:"status" doc:"The HTTP status"`
	Kind   string `json:"kind" enum:"internal,invalid,notFound,alreadyExists,conflict,unauthenticated,denied,throttled,tooLarge,timeout,unavailable,unsupported" doc:"The class of the error"`
	// Reason is stable: programs may depend on it.
	Reason    string `json:"reason" doc:"A stable word for programs to look at" example:"FunctionNotFound"`
	Detail    string `json:"detail" doc:"What was wrong and what to do"`
	RequestID string `json:"requestId" doc:"Names this call in the node's log"`
	// RetryAfterSeconds is when to try again, if that is known.
	RetryAfterSeconds float64 `json:"retryAfterSeconds,omitempty" doc:"When to try again, if that is known"`
}

// kinds is the table from kinds of fault to their word and status on the wire.
var kinds = map[fault.Kind]struct {
	word   string
	status int
}{
	fault.Internal:        {"internal", http.StatusInternalServerError},
	fault.Invalid:         {"invalid", http.StatusBadRequest},
	fault.NotFound:        {"notFound", http.StatusNotFound},
	fault.AlreadyExists:   {"alreadyExists", http.StatusConflict},
	fault.Conflict:        {"conflict", http.StatusConflict},
	fault.Unauthenticated: {"unauthenticated", http.StatusUnauthorized},
	fault.Denied:          {"denied", http.StatusForbidden},
	fault.Throttled:       {"throttled", http.StatusTooManyRequests},
	fault.TooLarge:        {"tooLarge", http.StatusRequestEntityTooLarge},
	fault.Timeout:         {"timeout", http.StatusGatewayTimeout},
	fault.Unavailable:     {"unavailable", http.StatusServiceUnavailable},
	fault.Unsupported:     {"unsupported", http.StatusUnprocessableEntity},
}

// reasons holds the statuses that HTTP has a more exact word for.
var reasons = map[string]int{
	"RevisionMismatch":     http.StatusPreconditionFailed,
	"MethodNotAllowed":     http.StatusMethodNotAllowed,
	"UnsupportedMediaType": http.StatusUnsupportedMediaType,
	"RequestTimeout":       http.StatusRequestTimeout,
}

// Status returns the HTTP status of a fault.
func Status(kind fault.Kind, reason string) int {
	if status, ok := reasons[reason]; ok {
		return status
	}
	return kinds[kind].status
}

// NewProblem returns a fault's form on the wire.
func NewProblem(e *fault.Error, requestID string) Problem {
	status := Status(e.Kind, e.Reason)
	return Problem{
		Title: http.StatusText(status), Status: status, Kind: kinds[e.Kind].word,
		Reason: e.Reason, Detail: e.Detail, RequestID: requestID,
		RetryAfterSeconds: e.RetryAfter.Seconds(),
	}
}

// KindOf returns the kind that a word on the wire stands for, and false if there
// is none.
func KindOf(word string) (fault.Kind, bool) {
	for kind, k := range kinds {
		if k.word == word {
			return kind, true
		}
	}
	return fault.Internal, false
}
