package lambda

import (
	"net/http"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/fault"
)

// The names of the errors that operations raise themselves, and sentences that
// occur twice.
const (
	invalidParameter = "InvalidParameterValueException"
	validation       = "ValidationException"
	notFound         = "ResourceNotFoundException"
	resourceConflict = "ResourceConflictException"
	invalidContent   = "InvalidRequestContentException"
	tooManyRequests  = "TooManyRequestsException"

	inState      = "The operation cannot be performed at this time. The function is currently in the following state: "
	rateExceeded = "Rate Exceeded."
)

// faults is how the platform's faults look in this API.
var faults = protocol.Table{
	Kinds: map[fault.Kind]protocol.Answer{
		fault.Internal:        {Status: http.StatusInternalServerError, Code: "ServiceException", Message: "An error occurred and the request cannot be processed."},
		fault.Invalid:         {Status: http.StatusBadRequest, Code: invalidParameter},
		fault.NotFound:        {Status: http.StatusNotFound, Code: notFound},
		fault.AlreadyExists:   {Status: http.StatusConflict, Code: resourceConflict},
		fault.Conflict:        {Status: http.StatusConflict, Code: resourceConflict},
		fault.Unauthenticated: {Status: http.StatusForbidden, Code: "InvalidSignatureException"},
		fault.Denied:          {Status: http.StatusForbidden, Code: "AccessDeniedException"},
		fault.Throttled:       {Status: http.StatusTooManyRequests, Code: tooManyRequests},
		fault.TooLarge:        {Status: http.StatusRequestEntityTooLarge, Code: "RequestTooLargeException"},
		fault.Timeout:         {Status: http.StatusGatewayTimeout, Code: "ServiceException"},
		fault.Unavailable:     {Status: http.StatusServiceUnavailable, Code: "ServiceException"},
		fault.Unsupported:     {Status: http.StatusBadRequest, Code: invalidParameter},
	},
	Reasons: map[fault.Kind]map[string]protocol.Answer{
		fault.Unauthenticated: protocol.JSONSignatureAnswers(),
		fault.Invalid: {
			"RecursiveInvocation": {Status: http.StatusBadRequest, Code: "RecursiveInvocationException"},

			"CorruptPackage": {Status: http.StatusBadRequest, Code: invalidParameter, Message: "Could not unzip uploaded file. Please check your file, then try to upload again."},
			"EmptyPackage":   {Status: http.StatusBadRequest, Code: invalidParameter, Message: "Uploaded file must be a non-empty zip"},
		},
		fault.TooLarge: {
			"PackageTooLarge":  {Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLargeException", Message: "Zipped size must be smaller than 52428800 bytes"},
			"UnzippedTooLarge": {Status: http.StatusBadRequest, Code: invalidParameter, Message: "Unzipped size must be smaller than 262144000 bytes"},
			"TooManyFiles":     {Status: http.StatusBadRequest, Code: invalidParameter},
		},
		fault.Conflict: {
			"RevisionMismatch": {Status: http.StatusPreconditionFailed, Code: "PreconditionFailedException", Message: "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"},
			"FunctionPending":  {Status: http.StatusConflict, Code: resourceConflict, Message: inState + "Pending"},
			"FunctionFailed":   {Status: http.StatusConflict, Code: resourceConflict, Message: inState + "Failed"},
		},
		fault.Throttled: {
			"ReservedConcurrency": {Status: http.StatusTooManyRequests, Code: tooManyRequests, Message: rateExceeded, Reason: "ReservedFunctionConcurrentInvocationLimitExceeded"},
			"NodeConcurrency":     {Status: http.StatusTooManyRequests, Code: tooManyRequests, Message: rateExceeded, Reason: "ConcurrentInvocationLimitExceeded"},
			"NodeMemory":          {Status: http.StatusTooManyRequests, Code: tooManyRequests, Message: rateExceeded, Reason: "ConcurrentInvocationLimitExceeded"},
		},
	},
}

func invalidf(format string, args ...any) error {
	return protocol.Errorf(http.StatusBadRequest, invalidParameter, format, args...)
}

func notFoundf(format string, args ...any) error {
	return protocol.Errorf(http.StatusNotFound, notFound, format, args...)
}

// unsupported refuses a part of a request that AWS knows and mayfly lacks.
func unsupported(what string) error {
	return fault.New(fault.Unsupported, "NotSupported", "%s is not supported by mayfly yet.", what)
}
