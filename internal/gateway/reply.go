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
	value := bytes.Trim(payload, " \t\r\n")
	if len(value) == 0 {
		return inferred(nil)
	}
	if !json.Valid(value) {
		return nil
	}
	switch value[0] {
	case '"':
		body, _ := unquote(value)
		return inferred(body)
	case '{':
		if f := readFields(value); f.status != nil {
			return f.reply()
		}
	}
	return inferred(payload)
}

func inferred(body []byte) *response {
	return &response{status: http.StatusOK, header: http.Header{"Content-Type": {typeJSON}}, body: body}
}

// preludeReply reads a streamed response's prelude; its body follows.
func preludeReply(payload []byte) *response {
	prelude, body, ok := bytes.Cut(payload, preludeEnd)
	prelude = bytes.Trim(prelude, " \t\r\n")
	if !ok || !json.Valid(prelude) || prelude[0] != '{' {
		return nil
	}
	r := readFields(prelude).head()
	if r != nil {
		r.body = body
	}
	return r
}

// fields are the members of a reply that mean something, as JSON text; nil: it
// does not have them.
type fields struct {
	status, headers, multiValueHeaders, cookies, body, isBase64Encoded []byte
}

func readFields(object []byte) *fields {
	f := new(fields)
	each(object, '{', func(key, value []byte) bool {
		name, _ := unquote(key)
		switch string(name) {
		case "statusCode":
			f.status = value
		case "headers":
			f.headers = value
		case "multiValueHeaders":
			f.multiValueHeaders = value
		case "cookies":
			f.cookies = value
		case "body":
			f.body = value
		case "isBase64Encoded":
			f.isBase64Encoded = value
		}
		return true
	})
	return f
}

// reply returns the response that f describes; nil if a member is not valid.
func (f *fields) reply() *response {
	r := f.head()
	if r == nil {
		return nil
	}
	encoded := string(f.isBase64Encoded) == "true"
	if !encoded && !isNull(f.isBase64Encoded) && string(f.isBase64Encoded) != "false" {
		return nil
	}
	if isNull(f.body) {
		return r
	}
	var ok bool
	if r.body, ok = unquote(f.body); !ok {
		return nil
	}
	if encoded {
		decoded, err := base64.StdEncoding.AppendDecode(nil, r.body)
		if err != nil {
			return nil
		}
		r.body = decoded
	}
	return r
}

// head returns status, headers and cookies; nil if one of them is not valid.
func (f *fields) head() *response {
	r := &response{status: http.StatusOK, header: http.Header{}}
	if f.status != nil {
		status, err := strconv.Atoi(string(bytes.Trim(f.status, `"`)))
		if err != nil || status < 200 || status > 599 { // an interim status can't end a request
			return nil
		}
		r.status = status
	}
	ok := each(f.headers, '{', func(key, value []byte) bool { return addHeader(r.header, key, value) }) &&
		each(f.multiValueHeaders, '{', func(key, values []byte) bool {
			name, _ := unquote(key)
			r.header.Del(string(name)) // the list is the fuller word
			return each(values, '[', func(_, value []byte) bool { return addHeader(r.header, key, value) })
		}) &&
		each(f.cookies, '[', func(_, value []byte) bool {
			cookie, ok := unquote(value)
			r.header["Set-Cookie"] = append(r.header["Set-Cookie"], string(cookie))
			return ok
		})
	if !ok {
		return nil
	}
	if r.header.Get("Content-Type") == "" {
		r.header.Set("Content-Type", typeJSON)
	}
	return r
}

// addHeader adds a value that is a string, number or boolean. Headers that
// belong to the connection are left out.
func addHeader(h http.Header, key, value []byte) bool {
	switch value[0] {
	case '{', '[':
		return false
	case 'n': // null
		return true
	case '"':
		value, _ = unquote(value)
	}
	k, _ := unquote(key)
	name := http.CanonicalHeaderKey(string(k))
	if !hopByHop[name] && name != "Content-Length" {
		h[name] = append(h[name], string(value))
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
