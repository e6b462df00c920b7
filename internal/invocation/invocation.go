// Package invocation holds the nouns of one call: what is asked, what came
// back, and the record that logs, metrics, usage and cost derive from. It does
// no I/O.
package invocation

import (
	"encoding/json"
	"strconv"
	"time"

	"mayfly.dev/mayfly/internal/function"
)

// The payload limits of synchronous invocations, in bytes. The response's is
// what AWS Lambda's Runtime API accepts: 6 MiB and 100 bytes.
const (
	MaxRequestBytes  = 6 << 20
	MaxResponseBytes = 6<<20 + 100
	// MaxClientContextBytes bounds the client context after decoding.
	MaxClientContextBytes = 3583
	// LogTailBytes is how much of the log's end a caller may ask for.
	LogTailBytes = 4 << 10
)

// Invocation is one call of a function on its way to user code. It is not
// changed once dispatched.
type Invocation struct {
	// ID is the request id, a UUID.
	ID  string
	Ref function.Ref
	// ARN is the invoked function's ARN as user code sees it.
	ARN string
	// Payload is handed to user code byte for byte.
	Payload []byte
	// ClientContext is the decoded JSON of X-Amz-Client-Context; nil: none.
	ClientContext []byte
	// CognitoIdentity is JSON; nil: none.
	CognitoIdentity []byte
	// TraceID is the X-Ray trace header ("Root=1-...;Parent=...;Sampled=0").
	TraceID string
	// Trigger says what caused the call: "api", "url", "cli", ...
	Trigger string
	// Received is when the platform accepted the call.
	Received time.Time
	// Deadline is when user code must have answered. Dispatch sets it when an
	// environment takes the call, from the version's timeout.
	Deadline time.Time
	// WantLogTail asks for Result.LogTail.
	WantLogTail bool
	// FailFast refuses the call at the function's reserved concurrency instead of
	// having it wait in the function's queue, as the AWS API does.
	FailFast bool
}

// The values of Result.FunctionError, as the AWS API spells them.
const (
	Handled   = "Handled"
	Unhandled = "Unhandled"
)

// Result is how a call ended that reached user code. A function that fails is a
// result too; Go errors are for the platform's own failures.
type Result struct {
	Payload     []byte
	ContentType string
	// FunctionError is empty when the function succeeded.
	FunctionError string
	// ErrorType is user code's or the platform's word for the failure, such as
	// "Runtime.ExitError" or "TypeError"; empty when the function succeeded.
	ErrorType       string
	ExecutedVersion string
	// LogTail is the last [LogTailBytes] of the call's log, if it was asked for.
	LogTail []byte
	Record  *Record
}

// FunctionFailure is the JSON body of a failed call.
type FunctionFailure struct {
	ErrorMessage string   `json:"errorMessage"`
	ErrorType    string   `json:"errorType"`
	RequestID    string   `json:"requestId,omitempty"`
	StackTrace   []string `json:"stackTrace,omitempty"`
}

// ErrorResponseTooLarge is the error type of a call whose answer was larger than
// [MaxResponseBytes].
const ErrorResponseTooLarge = "Function.ResponseSizeTooLarge"

// TooLarge returns the result of a call whose answer was larger than
// [MaxResponseBytes], in AWS Lambda's words.
func TooLarge() *Result {
	return Failed(ErrorResponseTooLarge,
		"Response payload size exceeded maximum allowed payload size ("+strconv.Itoa(MaxResponseBytes)+" bytes).")
}

// Failed returns the result of a call that the platform ended on user code's
// account: a timeout, an exit, a response that is too large.
func Failed(errorType, message string) *Result {
	body, err := json.Marshal(FunctionFailure{ErrorMessage: message, ErrorType: errorType})
	if err != nil { // two strings always marshal
		panic(err)
	}
	return &Result{Payload: body, ContentType: "application/json", FunctionError: Unhandled, ErrorType: errorType}
}
