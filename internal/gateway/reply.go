package gateway

import (
	"bytes"
	"mime"
	"net/http"

	"mayfly.dev/mayfly/internal/invocation"
)

const (
	typeJSON = "application/json"
	// typeHTTP marks a payload that begins with a prelude of status and headers.
	typeHTTP = "application/vnd.awslambda.http-integration-response"
	// streaming is the invoke mode whose payloads are bodies as they are.
	streaming = "RESPONSE_STREAM"
	// maxReplyHeaderBytes bounds names and values of a reply's headers.
	maxReplyHeaderBytes = 64 << 10
)

// preludeEnd separates the prelude from the body behind it.
var preludeEnd = make([]byte, 8)

// reply answers with a result. A function that failed, or whose reply can't be a
// response, is a bad gateway: visitors are told no more than that, its log says
// the rest.
func (g *Gateway) reply(q *request, result *invocation.Result) {
	switch {
	case result.FunctionError != "":
		g.badGateway(q, "FunctionError")
	case !g.relay(q, result):
		g.badGateway(q, "InvalidReply")
	}
}

// relay reports false, with nothing sent, if the reply can't be a response.
func (g *Gateway) relay(q *request, result *invocation.Result) bool {
	if result.ContentType == typeJSON {
		return g.relayJSON(q, result.Payload)
	}
	mediaType, _, err := mime.ParseMediaType(result.ContentType)
	switch {
	case mediaType == typeHTTP:
		return g.relayPrelude(q, result.Payload)
	case err == nil && mediaType != typeJSON && q.target.fn.URL.InvokeMode == streaming:
		if len(result.ContentType) > maxReplyHeaderBytes {
			return false
		}
		g.begin(q, http.StatusOK)
		q.ForeignField([]byte("content-type"), []byte(result.ContentType))
		q.End(result.Payload)
		return true
	default:
		return g.relayJSON(q, result.Payload)
	}
}

// relayJSON reads a payload by the rules of format 2.0: an object with a
// statusCode says what the response is; a string is the body of one; every other
// value is, as JSON.
func (g *Gateway) relayJSON(q *request, payload []byte) bool {
	value := bytes.Trim(payload, " \t\r\n")
	if len(value) > 0 && !validJSON(value) {
		return false
	}
	if len(value) > 0 && value[0] == '{' {
		if f := readFields(value); f.status != nil {
			return g.relayFields(q, &f)
		}
	}
	g.begin(q, http.StatusOK)
	q.Field("Content-Type", typeJSON)
	switch {
	case len(value) == 0:
		q.End(nil)
	case value[0] == '"':
		q.endString(value)
	default:
		q.End(payload)
	}
	return true
}

// relayPrelude reads a streamed response's prelude; its body follows.
func (g *Gateway) relayPrelude(q *request, payload []byte) bool {
	prelude, body, ok := bytes.Cut(payload, preludeEnd)
	prelude = bytes.Trim(prelude, " \t\r\n")
	if !ok || !validJSON(prelude) || prelude[0] != '{' {
		return false
	}
	f := readFields(prelude)
	if !g.beginFields(q, &f) {
		return false
	}
	q.End(body)
	return true
}

// endString sends what a JSON string says: as it lies if it has no escapes, else
// it is written out behind the head.
func (q *request) endString(value []byte) {
	if inner := value[1 : len(value)-1]; isPlain(inner) {
		q.End(inner)
		return
	}
	q.CloseBody(appendUnquoted(q.OpenBody(), value))
}
