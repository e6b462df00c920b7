package lambda

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"mayfly.dev/mayfly/internal/invocation"
)

const (
	headerErrorType = "Lambda-Runtime-Function-Error-Type"
	headerErrorBody = "Lambda-Runtime-Function-Error-Body"
	headerMode      = "Lambda-Runtime-Function-Response-Mode"

	typeJSON   = "application/json"
	typeStream = "application/octet-stream"
	// typeCause is an error report that carries X-Ray's cause beside the error.
	typeCause = "application/vnd.aws.lambda.error.cause+json"
	// typeHTTP is a response that begins with a JSON prelude of status and
	// headers; who calls over HTTP takes it apart.
	typeHTTP = "application/vnd.awslambda.http-integration-response"
)

var (
	errTooLarge  = fmt.Errorf("the body is larger than the %d bytes that a response may have", invocation.MaxResponseBytes)
	errTruncated = errors.New("the request ended before its body was complete")
	errMode      = errors.New("the response mode is not known: leave the header " + headerMode + " out or set it to streaming")
)

// errorTypePattern is what Lambda takes over from a runtime as a type.
var errorTypePattern = regexp.MustCompile(`^(Runtime|Function)\.[A-Z][a-zA-Z]+$`)

// readResponse makes a result of the body of a /response. With an error it
// returns the result that the invocation's caller gets for it.
func readResponse(c *conn, req *http.Request) (*invocation.Result, error) {
	mode := req.Header.Get(headerMode)
	streaming := strings.EqualFold(mode, "streaming")
	if mode != "" && !streaming {
		return invocation.Failed("Runtime.InvalidResponseModeHeader", errMode.Error()), errMode
	}
	body, err := c.readBody(req)
	if err != nil {
		return brokenOff(err), err
	}
	if res := midStreamFailure(req.Trailer); res != nil {
		return res, nil
	}
	return &invocation.Result{Payload: body, ContentType: responseType(req.Header.Get("Content-Type"), streaming)}, nil
}

// readError makes a result of the body of an /error.
func readError(c *conn, req *http.Request) (*invocation.Result, error) {
	return readFailure(c, req, "Function.Unknown")
}

func readFailure(c *conn, req *http.Request, unknown string) (*invocation.Result, error) {
	errorType := knownType(req.Header.Get(headerErrorType), unknown)
	body, err := c.readBody(req)
	if err != nil {
		return brokenOff(err), err
	}
	if mediaType(req.Header.Get("Content-Type")) == typeCause {
		body = withoutCause(body)
	}
	return failure(errorType, body), nil
}

// failure is a function's own error. One without a word gets its type as body.
func failure(errorType string, body []byte) *invocation.Result {
	if len(body) == 0 {
		return invocation.Failed(errorType, "the runtime reported an error without a message")
	}
	return &invocation.Result{Payload: body, ContentType: typeJSON, FunctionError: invocation.Unhandled, ErrorType: errorType}
}

// jsonFailure returns the failure's payload as JSON whatever was sent.
func jsonFailure(res *invocation.Result) []byte {
	if json.Valid(res.Payload) {
		return res.Payload
	}
	return invocation.Failed(res.ErrorType, string(res.Payload)).Payload
}

func brokenOff(err error) *invocation.Result {
	if errors.Is(err, errTooLarge) {
		return invocation.TooLarge()
	}
	return invocation.Failed("Runtime.TruncatedResponse", "the runtime's response ended before it was complete")
}

// midStreamFailure is an error that a streaming runtime reports after it has
// begun its response: in trailers, the body in base64.
func midStreamFailure(trailer http.Header) *invocation.Result {
	errorType, encoded := trailer.Get(headerErrorType), trailer.Get(headerErrorBody)
	if errorType == "" && encoded == "" {
		return nil
	}
	body, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		body = nil
	}
	return failure(knownType(errorType, "Function.Unknown"), body)
}

func knownType(errorType, unknown string) string {
	if errorTypePattern.MatchString(errorType) {
		return errorType
	}
	return unknown
}

// responseType is what callers are told about a payload. What a runtime says of
// a response that is not streamed means nothing: Lambda's is always JSON, and
// curl says that it sends a form.
func responseType(contentType string, streaming bool) string {
	switch {
	case mediaType(contentType) == typeHTTP:
		return typeHTTP
	case !streaming:
		return typeJSON
	case contentType == "":
		return typeStream
	default:
		return contentType
	}
}

func mediaType(contentType string) string {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return t
}

// withoutCause leaves of a report with X-Ray's cause what callers get.
func withoutCause(body []byte) []byte {
	var f invocation.FunctionFailure
	if err := json.Unmarshal(body, &f); err != nil {
		return body
	}
	out, err := json.Marshal(f)
	if err != nil {
		return body
	}
	return out
}

// readBody reads an answer's body: what Content-Length says, or chunks to
// their trailers.
func (c *conn) readBody(req *http.Request) ([]byte, error) {
	if req.ContentLength > invocation.MaxResponseBytes {
		return nil, errTooLarge
	}
	if err := c.inviteBody(req); err != nil {
		return nil, errTruncated
	}
	if req.ContentLength >= 0 {
		body := make([]byte, req.ContentLength)
		if _, err := io.ReadFull(req.Body, body); err != nil {
			return nil, errTruncated
		}
		return body, nil
	}
	var body bytes.Buffer
	n, err := io.Copy(&body, io.LimitReader(req.Body, invocation.MaxResponseBytes+1))
	switch {
	case n > invocation.MaxResponseBytes:
		return nil, errTooLarge
	case err != nil:
		return nil, errTruncated
	}
	return body.Bytes(), nil
}
