package gateway

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"mayfly.dev/mayfly/internal/gateway/http1"
)

// fields are the members of a reply that mean something, as JSON text; nil: it
// does not have them.
type fields struct {
	status, headers, multiValueHeaders, cookies, body, isBase64Encoded []byte
}

func readFields(object []byte) (f fields) {
	each(object, '{', func(key, value []byte) bool {
		switch string(unquote(key)) {
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

// relayFields answers as f says; false: a member is not valid, nothing is sent.
func (g *Gateway) relayFields(q *request, f *fields) bool {
	encoded := string(f.isBase64Encoded) == "true"
	if !encoded && !isNull(f.isBase64Encoded) && string(f.isBase64Encoded) != "false" {
		return false
	}
	if !isNull(f.body) && f.body[0] != '"' || !g.beginFields(q, f) {
		return false
	}
	switch {
	case isNull(f.body):
		q.End(nil)
	case encoded:
		b, err := base64.StdEncoding.AppendDecode(q.OpenBody(), unquote(f.body))
		if err != nil {
			return false
		}
		q.CloseBody(b)
	default:
		q.endString(f.body)
	}
	return true
}

// replyHead is the head of a response while it is written from a reply.
type replyHead struct {
	*request
	cors, typed bool
	size        int // of names and values so far
}

// beginFields begins an answer with status, headers and cookies; false: one of
// them is not valid.
func (g *Gateway) beginFields(q *request, f *fields) bool {
	status := http.StatusOK
	if f.status != nil {
		var err error
		status, err = strconv.Atoi(string(bytes.Trim(f.status, `"`)))
		if err != nil || status < 200 || status > 599 { // an interim status can't end a request
			return false
		}
	}
	g.begin(q, status)
	h := replyHead{request: q, cors: q.target.fn.URL.CORS != nil}
	lists := names(f.multiValueHeaders) // the list is the fuller word
	ok := each(f.headers, '{', func(key, value []byte) bool {
		if lists != nil && lists[strings.ToLower(string(unquote(key)))] {
			return true
		}
		return h.add(key, value)
	}) && each(f.multiValueHeaders, '{', func(key, values []byte) bool {
		return each(values, '[', func(_, value []byte) bool { return h.add(key, value) })
	}) && each(f.cookies, '[', func(_, value []byte) bool {
		return value[0] == '"' && h.add([]byte(`"set-cookie"`), value)
	})
	if !ok {
		return false
	}
	if !h.typed && status != http.StatusNotModified {
		q.Field("Content-Type", typeJSON)
	}
	return true
}

// names returns the names of an object's members in lower case; nil: it has none.
func names(object []byte) map[string]bool {
	var all map[string]bool
	each(object, '{', func(key, _ []byte) bool {
		if all == nil {
			all = make(map[string]bool)
		}
		all[strings.ToLower(string(unquote(key)))] = true
		return true
	})
	return all
}

// add adds a value that is a string, number or boolean. Headers that belong to
// the connection or are the platform's are left out.
func (h *replyHead) add(key, value []byte) bool {
	switch value[0] {
	case '{', '[':
		return false
	case 'n': // null
		return true
	case '"':
		value = unquote(value)
	}
	name := unquote(key)
	if h.size += len(name) + len(value); h.size > maxReplyHeaderBytes {
		return false
	}
	if h.reserved(name) {
		return true
	}
	if http1.EqualFold(name, "content-type") {
		if h.typed || len(value) == 0 { // the first counts
			return true
		}
		h.typed = true
	}
	h.ForeignField(name, value)
	return true
}

// reserved reports whether the platform speaks for this header.
func (h *replyHead) reserved(name []byte) bool {
	var lower [len("access-control-allow-credentials")]byte
	if len(name) > len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	switch n := lower[:len(name)]; string(n) {
	case "content-length", "x-amzn-requestid", "x-amzn-trace-id":
		return true
	case "access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers":
		return h.cors // what the function says gives way to the policy
	default:
		return hopByHop(n)
	}
}
