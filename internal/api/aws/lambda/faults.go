package lambda

import (
	"maps"
	"net/http"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/fault"
)

// The names of the errors that operations raise themselves.
const (
	invalidParameter = "InvalidParameterValueException"
	validation       = "ValidationException"
	notFound         = "ResourceNotFoundException"
	resourceConflict = "ResourceConflictException"
	invalidContent   = "InvalidRequestContentException"
	tooManyRequests  = "TooManyRequestsException"
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
	Reasons: with(protocol.JSONSignatureAnswers(), map[string]protocol.Answer{
		"CorruptPackage":   {Status: http.StatusBadRequest, Code: invalidParameter, Message: "Could not unzip uploaded file. Please check your file, then try to upload again."},
		"EmptyPackage":     {Status: http.StatusBadRequest, Code: invalidParameter, Message: "Uploaded file must be a non-empty zip"},
		"PackageTooLarge":  {Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLargeException", Message: "Zipped size must be smaller than 52428800 bytes"},
		"UnzippedTooLarge": {Status: http.StatusBadRequest, Code: invalidParameter, Message: "Unzipped size must be smaller than 262144000 bytes"},
		"TooManyFiles":     {Status: http.StatusBadRequest, Code: invalidParameter},

		"RevisionMismatch": {Status: http.StatusPreconditionFailed, Code: "PreconditionFailedException", Message: "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"},
		"FunctionPending":  {Status: http.StatusConflict, Code: resourceConflict, Message: "The operation cannot be performed at this time. The function is currently in the following state: Pending"},
		"FunctionFailed":   {Status: http.StatusConflict, Code: resourceConflict, Message: "The operation cannot be performed at this time. The function is currently in the following state: Failed"},
		"ReservedConcurrency": {
			Status: http.StatusTooManyRequests, Code: tooManyRequests, Message: "Rate Exceeded.",
			Reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
		},
		"NodeConcurrency": {
			Status: http.StatusTooManyRequests, Code: tooManyRequests, Message: "Rate Exceeded.",
			Reason: "ConcurrentInvocationLimitExceeded",
		},
	}),
}

func with(answers, more map[string]protocol.Answer) map[string]protocol.Answer {
	maps.Copy(answers, more)
	return answers
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
