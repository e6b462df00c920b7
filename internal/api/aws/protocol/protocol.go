// Package protocol spells requests, replies and errors the way AWS's services
// do: REST-JSON for Lambda, query with XML for STS and IAM. What a service
// means is left to the service's own package.
package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/auth/sigv4"
	"mayfly.dev/mayfly/internal/fault"
)

// Request is an authenticated request whose body has been read.
type Request struct {
	*http.Request

	// ID is the request id that the reply carries.
	ID string
	// Identity is who signed the request.
	Identity auth.Identity
	// Account is the caller's namespace as AWS clients see it: 12 digits.
	Account string
	Region  string
	// Payload is the whole body.
	Payload []byte
}

// Service is one AWS service.
type Service interface {
	// BodyLimit is how many bytes of r's body are read at most.
	BodyLimit(r *http.Request) int64
	// TooLarge is the error for a body above the limit; size is -1 if the
	// client did not announce it.
	TooLarge(r *http.Request, size int64) error
	// Action is what r asks for in IAM's words, without the service's name.
	Action(r *Request) string
	// Serve answers an authenticated request.
	Serve(w http.ResponseWriter, r *Request)
	Refuser
}

// Refuser answers with errors in a service's form.
type Refuser interface {
	Refuse(w http.ResponseWriter, requestID string, err error)
}

// Error is an error as an AWS client sees it.
type Error struct {
	Status int
	// Code is the exception's name, such as ResourceNotFoundException.
	Code    string
	Message string
	// Reason is the further word that some exceptions carry.
	Reason string
	// RetryAfter is how long the client should wait; zero: no advice.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf returns an error with a formatted message.
func Errorf(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Answer is how a kind of fault looks to a client. An empty message stands for
// the fault's own detail.
type Answer struct {
	Status  int
	Code    string
	Message string
	// Reason is [Error.Reason].
	Reason string
}

// Table maps the platform's faults to one service's errors: by reason if it is
// listed, else by kind, else as an internal failure.
type Table struct {
	Kinds   map[fault.Kind]Answer
	Reasons map[fault.Kind]map[string]Answer
}

// Error returns err as the service spells it. An [*Error] in err's chain is
// taken as it is.
func (t Table) Error(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	f := fault.From(err)
	a, ok := t.Reasons[f.Kind][f.Reason]
	if !ok {
		a, ok = t.Kinds[f.Kind]
	}
	if !ok {
		a = t.Kinds[fault.Internal]
	}
	e := &Error{Status: a.Status, Code: a.Code, Message: a.Message, Reason: a.Reason, RetryAfter: f.RetryAfter}
	if e.Message == "" {
		e.Message = f.Detail
	}
	return e
}

// JSONSignatureAnswers is how the services that speak JSON refuse a caller: the
// reasons of Unauthenticated faults.
func JSONSignatureAnswers() map[string]Answer {
	return map[string]Answer{
		sigv4.MissingToken: {Status: http.StatusForbidden, Code: "MissingAuthenticationTokenException"},
		sigv4.Incomplete:   {Status: http.StatusBadRequest, Code: "IncompleteSignatureException"},
		"UnknownKey":       {Status: http.StatusForbidden, Code: "UnrecognizedClientException", Message: "The security token included in the request is invalid."},
		"ExpiredSession":   {Status: http.StatusForbidden, Code: "ExpiredTokenException", Message: "The security token included in the request is expired"},
	}
}

// NotImplemented is the error for what AWS has and mayfly lacks. No client
// repeats a call that got it.
func NotImplemented(what string) *Error {
	return Errorf(http.StatusNotImplemented, "NotImplementedException", "%s is not supported by mayfly yet.", what)
}

// upperMessage lists the exceptions whose body says Message with a capital.
var upperMessage = map[string]bool{"ResourceNotFoundException": true, "ServiceException": true, "AccessDeniedException": true}

// WriteJSONError answers with e as REST-JSON services do.
func WriteJSONError(w http.ResponseWriter, e *Error) {
	body := map[string]string{"Type": "User"}
	if e.Status >= http.StatusInternalServerError {
		body["Type"] = "Service"
	}
	if upperMessage[e.Code] {
		body["Message"] = e.Message
	} else {
		body["message"] = e.Message
	}
	if e.Reason != "" {
		body["Reason"] = e.Reason
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(wholeSeconds(e.RetryAfter)))
	}
	w.Header().Set("X-Amzn-Errortype", e.Code)
	WriteJSON(w, e.Status, body)
}

func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// WriteJSON answers with a JSON document. A client that has gone is no error.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // our own structs of strings and numbers always marshal
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
