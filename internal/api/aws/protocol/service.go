package protocol

import (
	"log/slog"
	"net/http"
	"slices"

	"mayfly.dev/mayfly/internal/auth/sigv4"
	"mayfly.dev/mayfly/internal/fault"
)

// maxQueryBody bounds the body of a query request: the largest that AWS's
// documents need is a policy of 128 KiB, form-encoded.
const maxQueryBody = 1 << 20

// Query is a service that speaks the query protocol: POST / with Action=...,
// answered in XML.
type Query struct {
	// Namespace is the XML namespace, Version the date that clients send.
	Namespace string
	Version   string
	// Actions are the operations that are served.
	Actions map[string]Action
	// Absent lists the operations that AWS has beyond those.
	Absent []string
	Errors Table
	Log    *slog.Logger
}

// Action serves one operation and returns what its result element holds; nil:
// the reply has no such element.
type Action func(r *Request, f Form) (any, error)

var _ Service = (*Query)(nil)

// BodyLimit implements [Service].
func (q *Query) BodyLimit(*http.Request) int64 { return maxQueryBody }

// TooLarge implements [Service].
func (q *Query) TooLarge(*http.Request, int64) error {
	return Errorf(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "The request is larger than %d bytes.", maxQueryBody)
}

// Action implements [Service].
func (q *Query) Action(r *Request) string {
	f, err := ParseForm(r)
	if err != nil {
		return ""
	}
	return f.Get("Action")
}

// Serve implements [Service].
func (q *Query) Serve(w http.ResponseWriter, r *Request) {
	action, result, err := q.serve(r)
	if err != nil {
		q.Refuse(w, r.ID, err)
		return
	}
	WriteXML(w, q.Namespace, action, r.ID, result)
}

func (q *Query) serve(r *Request) (name string, result any, err error) {
	f, err := ParseForm(r)
	if err != nil {
		return "", nil, err
	}
	name = f.Get("Action")
	switch action := q.Actions[name]; {
	case name == "":
		return "", nil, Errorf(http.StatusBadRequest, "MissingAction", "The request must contain the parameter Action.")
	case action != nil:
		result, err = action(r, f)
		return name, result, err
	case slices.Contains(q.Absent, name):
		return "", nil, NotImplemented(name)
	default:
		return "", nil, Errorf(http.StatusBadRequest, "InvalidAction", "Could not find operation %s for version %s", name, f.Get("Version"))
	}
}

// Refuse implements [Service].
func (q *Query) Refuse(w http.ResponseWriter, requestID string, err error) {
	e := q.Errors.Error(err)
	if e.Status >= http.StatusInternalServerError && e.Status != http.StatusNotImplemented {
		q.Log.Error("request failed", "request_id", requestID, "err", err)
	}
	WriteXMLError(w, q.Namespace, requestID, e)
}

// QueryErrors returns the table that the query services share.
func QueryErrors() Table {
	return Table{
		Kinds: map[fault.Kind]Answer{
			fault.Internal:        {Status: http.StatusInternalServerError, Code: "ServiceFailure", Message: "The request processing has failed because of an unknown error, exception or failure."},
			fault.Invalid:         {Status: http.StatusBadRequest, Code: "ValidationError"},
			fault.NotFound:        {Status: http.StatusNotFound, Code: "NoSuchEntity"},
			fault.AlreadyExists:   {Status: http.StatusConflict, Code: "EntityAlreadyExists"},
			fault.Conflict:        {Status: http.StatusConflict, Code: "ConcurrentModification"},
			fault.Unauthenticated: {Status: http.StatusForbidden, Code: "SignatureDoesNotMatch"},
			fault.Denied:          {Status: http.StatusForbidden, Code: "AccessDenied"},
			fault.Throttled:       {Status: http.StatusBadRequest, Code: "Throttling"},
			fault.TooLarge:        {Status: http.StatusConflict, Code: "LimitExceeded"},
			fault.Timeout:         {Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable"},
			fault.Unavailable:     {Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable"},
			fault.Unsupported:     {Status: http.StatusNotImplemented, Code: "NotImplementedException"},
		},
		Reasons: map[fault.Kind]map[string]Answer{
			fault.Unauthenticated: {
				sigv4.MissingToken: {Status: http.StatusForbidden, Code: "MissingAuthenticationToken"},
				sigv4.Incomplete:   {Status: http.StatusBadRequest, Code: "IncompleteSignature"},
				"UnknownKey":       {Status: http.StatusForbidden, Code: "InvalidClientTokenId", Message: "The security token included in the request is invalid."},
				"ExpiredSession":   {Status: http.StatusForbidden, Code: "ExpiredToken", Message: "The security token included in the request is expired"},
			},
		},
	}
}
