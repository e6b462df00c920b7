package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"

	"mayfly.dev/mayfly/internal/function"
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

// response is what goes back to the client.
type response struct {
	status int
	header http.Header
	body   []byte
	// reason says in a word why an error response is one.
	reason string
}

// reply makes a response of a result. A function that failed, or whose reply
// can't be a response, is a bad gateway: visitors are told no more than that,
// its log says the rest.
func reply(f *function.Function, result *invocation.Result) *response {
	if result.FunctionError != "" {
		return badGateway("FunctionError")
	}
	var r *response
	mediaType, _, err := mime.ParseMediaType(result.ContentType)
	switch {
	case mediaType == typeHTTP:
		r = preludeReply(result.Payload)
	case err == nil && mediaType != typeJSON && f.URL.InvokeMode == streaming:
		r = &response{status: http.StatusOK, header: http.Header{"Content-Type": {result.ContentType}}, body: result.Payload}
	default:
		r = jsonReply(result.Payload)
	}
	if r == nil || headerBytes(r.header) > maxReplyHeaderBytes {
		return badGateway("InvalidReply")
	}
	return r
}

func badGateway(reason string) *response {
	return &response{
		status: http.StatusBadGateway, header: http.Header{"Content-Type": {typeJSON}},
		body: []byte(`{"Message":"Internal Server Error"}`), reason: reason,
	}
}

// jsonReply reads a payload by the rules of format 2.0: an object with a
// statusCode says what the response is; a string is the body of one; every
// other value is, as JSON. It returns nil if the payload is none of these.
func jsonReply(payload []byte) *response {
	trimmed := bytes.TrimLeft(payload, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return inferred(nil)
	case trimmed[0] == '"':
		var s string
		if json.Unmarshal(payload, &s) != nil {
			return nil
		}
		return inferred([]byte(s))
	case trimmed[0] == '{' && bytes.Contains(payload, []byte(`"statusCode"`)):
		return objectReply(payload)
	case json.Valid(payload):
		return inferred(payload)
	default:
		return nil
	}
}

func inferred(body []byte) *response {
	return &response{status: http.StatusOK, header: http.Header{"Content-Type": {typeJSON}}, body: body}
}

// fields are a reply's members by their exact names, which a struct would not
// insist on.
type fields map[string]json.RawMessage

func objectReply(payload []byte) *response {
	var f fields
	if json.Unmarshal(payload, &f) != nil {
		return nil
	}
	if _, ok := f["statusCode"]; !ok { // the word was deeper inside
		return inferred(payload)
	}
	r := f.head()
	if r == nil {
		return nil
	}
	var body *string
	var encoded *bool
	if !f.read("body", &body) || !f.read("isBase64Encoded", &encoded) {
		return nil
	}
	if body == nil {
		return r
	}
	if encoded == nil || !*encoded {
		r.body = []byte(*body)
		return r
	}
	decoded, err := base64.StdEncoding.DecodeString(*body)
	if err != nil {
		return nil
	}
	r.body = decoded
	return r
}

// preludeReply reads a streamed response's prelude; its body follows.
func preludeReply(payload []byte) *response {
	prelude, body, ok := bytes.Cut(payload, preludeEnd)
	var f fields
	if !ok || json.Unmarshal(prelude, &f) != nil {
		return nil
	}
	r := f.head()
	if r != nil {
		r.body = body
	}
	return r
}

// head reads status, headers and cookies; nil if one of them is not valid.
func (f fields) head() *response {
	r := &response{status: http.StatusOK, header: http.Header{}}
	if raw, ok := f["statusCode"]; ok {
		status, err := strconv.Atoi(string(bytes.Trim(raw, `"`)))
		if err != nil || status < 200 || status > 599 { // an interim status can't end a request
			return nil
		}
		r.status = status
	}
	var single map[string]json.RawMessage
	var multi map[string][]json.RawMessage
	var cookies []string
	if !f.read("headers", &single) || !f.read("multiValueHeaders", &multi) || !f.read("cookies", &cookies) {
		return nil
	}
	for name, raw := range single {
		if !addHeader(r.header, name, raw) {
			return nil
		}
	}
	for name, values := range multi {
		r.header.Del(name) // the list is the fuller word
		for _, raw := range values {
			if !addHeader(r.header, name, raw) {
				return nil
			}
		}
	}
	for _, c := range cookies {
		r.header.Add("Set-Cookie", c)
	}
	if r.header.Get("Content-Type") == "" {
		r.header.Set("Content-Type", typeJSON)
	}
	return r
}

// read decodes a member into p, which stays as it is if the member is missing or
// null. It reports whether the member has the right type.
func (f fields) read(name string, p any) bool {
	raw, ok := f[name]
	return !ok || json.Unmarshal(raw, p) == nil
}

// addHeader adds a value that is a string, number or boolean. Headers that
// belong to the connection are left out, and those that can't be sent.
func addHeader(h http.Header, name string, raw json.RawMessage) bool {
	value := string(raw)
	switch raw[0] {
	case '{', '[':
		return false
	case 'n': // null
		return true
	case '"':
		if json.Unmarshal(raw, &value) != nil {
			return false
		}
	}
	name = http.CanonicalHeaderKey(name)
	if !hopByHop[name] && name != "Content-Length" {
		h[name] = append(h[name], value)
	}
	return true
}

func headerBytes(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}
