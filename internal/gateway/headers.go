package gateway

import (
	"bytes"

	"mayfly.dev/mayfly/internal/gateway/http1"
)

// hopByHop reports whether a header, its name in lower case, belongs to a
// connection and not to a request or response (RFC 9110, 7.6.1), or is the
// server's own affair.
func hopByHop(name []byte) bool {
	switch string(name) {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
		"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect":
		return true
	}
	return false
}

// platformHeader reports whether a request's header is written by the platform,
// or as something else.
func platformHeader(name []byte) bool {
	switch string(name) {
	case "cookie", "host", "x-amzn-trace-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port":
		return true
	}
	return false
}

// appendHeaders writes the members of headers: names in lower case, repeated
// values joined by commas, those that the platform sets last.
func (q *request) appendHeaders(b []byte) []byte {
	named := q.namedByConnection()
	for i, f := range q.Fields {
		if hopByHop(f.Name) || platformHeader(f.Name) || holds(q.Fields[:i], f.Name) || named && q.connectionNames(f.Name) {
			continue
		}
		b = append(appendString(b, f.Name), ':')
		b = append(q.appendValues(b, i, ","), ',')
	}
	b = append(appendMember(b, "host", q.Host), ',')
	b = append(appendMember(b, "x-amzn-trace-id", q.traceID), ',')
	b = append(q.appendForwarded(append(b, `"x-forwarded-for":`...)), ',')
	b = append(b, `"x-forwarded-proto":"http",`...)
	return appendMember(b, "x-forwarded-port", q.target.port)
}

// holds reports whether a header of this name is among fields.
func holds(fields []http1.Field, name []byte) bool {
	for i := range fields {
		if bytes.Equal(fields[i].Name, name) {
			return true
		}
	}
	return false
}

// appendValues writes the values of the header whose first line is the i-th as
// one JSON string.
func (q *request) appendValues(b []byte, i int, separator string) []byte {
	name := q.Fields[i].Name
	b = appendString(b, q.Fields[i].Value)
	for _, f := range q.Fields[i+1:] {
		if bytes.Equal(f.Name, name) {
			b = append(b[:len(b)-1], separator...)
			b = appendInner(b, f.Value)
			b = append(b, '"')
		}
	}
	return b
}

// appendForwarded writes the addresses that the request came by: what the client
// says, and the one that we see.
func (q *request) appendForwarded(b []byte) []byte {
	b = append(b, '"')
	for _, f := range q.Fields {
		if string(f.Name) == "x-forwarded-for" {
			b = append(appendInner(b, f.Value), ", "...)
		}
	}
	return append(append(b, q.RemoteIP()...), '"')
}

// namedByConnection reports whether Connection names headers that end here.
func (q *request) namedByConnection() bool {
	named := false
	for _, f := range q.Fields {
		if string(f.Name) != "connection" {
			continue
		}
		http1.EachToken(f.Value, func(token []byte) {
			named = named || !http1.EqualFold(token, "close") && !http1.EqualFold(token, "keep-alive")
		})
	}
	return named
}

// connectionNames reports whether Connection names this header.
func (q *request) connectionNames(name []byte) bool {
	found := false
	for _, f := range q.Fields {
		if string(f.Name) != "connection" {
			continue
		}
		http1.EachToken(f.Value, func(token []byte) { found = found || http1.EqualFold(token, string(name)) })
	}
	return found
}

// appendCookies writes cookies if there are any; the header is left out.
func (q *request) appendCookies(b []byte) []byte {
	first := true
	for _, f := range q.Fields {
		if string(f.Name) != "cookie" {
			continue
		}
		for cookie := range bytes.SplitSeq(f.Value, []byte(";")) {
			if cookie = bytes.TrimSpace(cookie); len(cookie) == 0 {
				continue
			}
			if first {
				b = append(b, `,"cookies":[`...)
			} else {
				b = append(b, ',')
			}
			first = false
			b = appendString(b, cookie)
		}
	}
	if !first {
		b = append(b, ']')
	}
	return b
}
