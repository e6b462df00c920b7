package gateway

import (
	"encoding/base64"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// event writes the request in payload format 2.0. It is written by hand, field
// after field into one buffer, because it is made for every request and holds
// the whole body.
func (g *Gateway) event(q *request) []byte {
	t := &q.target
	b := make([]byte, 0, 2048+len(t.path)+2*len(t.query)+len(q.body)*4/3)
	b = append(b, `{"version":"2.0","routeKey":"$default","rawPath":`...)
	b = appendString(b, t.path)
	b = append(b, `,"rawQueryString":`...)
	b = appendString(b, t.query)
	b = appendCookies(b, q.Header["Cookie"])
	b = q.appendHeaders(append(b, `,"headers":{`...))
	b = append(b, '}')
	b = appendQuery(b, t.query)
	b = g.appendContext(append(b, `,"requestContext":{`...), q)
	b = append(b, '}')
	text := isText(q.Header, q.body)
	if len(q.body) > 0 {
		b = append(b, `,"body":`...)
		if text {
			b = appendString(b, q.body)
		} else {
			b = append(b, '"')
			b = base64.StdEncoding.AppendEncode(b, q.body)
			b = append(b, '"')
		}
	}
	b = append(b, `,"isBase64Encoded":`...)
	b = strconv.AppendBool(b, !text)
	return append(b, '}')
}

// appendContext writes the members of requestContext.
func (g *Gateway) appendContext(b []byte, q *request) []byte {
	f := q.target.fn
	account := g.cfg.Account(f.Namespace)
	b = appendMember(b, "accountId", account)
	b = append(appendMember(append(b, ','), "apiId", f.URL.ID), ',')
	if c := q.caller; c != nil {
		b = append(b, `"authorizer":{"iam":{`...)
		b = append(appendMember(b, "accessKey", c.AccessKeyID), ',')
		b = append(appendMember(b, "accountId", account), ',')
		b = append(appendMember(b, "callerId", c.AccessKeyID), ',')
		b = append(appendMember(b, "userArn", "arn:aws:iam::"+account+":user/"+c.Name), ',')
		b = append(appendMember(b, "userId", c.AccessKeyID), `}},`...)
	}
	b = append(appendMember(b, "domainName", q.target.domain), ',')
	b = append(appendMember(b, "domainPrefix", f.URL.ID), ',')
	b = append(b, `"http":{`...)
	b = append(appendMember(b, "method", q.Method), ',')
	b = append(appendMember(b, "path", q.target.path), ',')
	b = append(appendMember(b, "protocol", q.Proto), ',')
	b = append(appendMember(b, "sourceIp", q.sourceIP()), ',')
	b = append(appendMember(b, "userAgent", q.UserAgent()), `},`...)
	b = append(appendMember(b, "requestId", q.id), ',')
	b = append(b, `"routeKey":"$default","stage":"$default","time":"`...)
	b = q.received.UTC().AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `","timeEpoch":`...)
	return strconv.AppendInt(b, q.received.UnixMilli(), 10)
}

func (q *request) sourceIP() string {
	host, _, err := net.SplitHostPort(q.RemoteAddr)
	if err != nil {
		return q.RemoteAddr
	}
	return host
}

// hopByHop are the headers that belong to a connection, not to a request or
// response (RFC 9110, 7.6.1), or that net/http deals with itself.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Expect": true,
}

// appendHeaders writes the members of headers: names in lower case, repeated
// values joined by commas, those that the platform sets last.
func (q *request) appendHeaders(b []byte) []byte {
	named := connectionNames(q.Header)
	for name, values := range q.Header {
		switch name {
		case "Cookie", "Host", headerTrace, "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port":
			continue
		}
		if hopByHop[name] || named[name] {
			continue
		}
		value := values[0]
		if len(values) > 1 {
			value = strings.Join(values, ",")
		}
		b = append(appendMember(b, strings.ToLower(name), value), ',')
	}
	forwarded := q.sourceIP()
	if before := q.Header.Values("X-Forwarded-For"); len(before) > 0 {
		forwarded = strings.Join(before, ", ") + ", " + forwarded
	}
	proto, port := "http", "80"
	if q.TLS != nil {
		proto, port = "https", "443"
	}
	if _, p, err := net.SplitHostPort(q.Host); err == nil {
		port = p
	}
	b = append(appendMember(b, "host", q.Host), ',')
	b = append(appendMember(b, "x-amzn-trace-id", q.traceID), ',')
	b = append(appendMember(b, "x-forwarded-for", forwarded), ',')
	b = append(appendMember(b, "x-forwarded-proto", proto), ',')
	return appendMember(b, "x-forwarded-port", port)
}

// connectionNames returns the further hop-by-hop headers that Connection names.
func connectionNames(h http.Header) map[string]bool {
	var named map[string]bool
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if named == nil {
				named = make(map[string]bool)
			}
			named[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	return named
}

// appendCookies writes cookies if there are any; the header is left out.
func appendCookies(b []byte, lines []string) []byte {
	first := true
	for _, line := range lines {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie == "" {
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

// appendQuery writes queryStringParameters if there are any: decoded, repeated
// values joined by commas. What can't be decoded is passed on as it is.
func appendQuery(b []byte, raw string) []byte {
	if raw == "" {
		return b
	}
	var names []string
	values := make(map[string]string)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		if before, ok := values[name]; ok {
			value = before + "," + value
		} else {
			names = append(names, name)
		}
		values[name] = value
	}
	if len(names) == 0 {
		return b
	}
	b = append(b, `,"queryStringParameters":{`...)
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMember(b, name, values[name])
	}
	return append(b, '}')
}

func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// isText tells whether the body goes into the event as it is. Like AWS, only
// types known as text do; forms do not. A body that is not UTF-8 after all, or
// compressed, would not survive as a JSON string.
func isText(h http.Header, body []byte) bool {
	if len(body) == 0 {
		return true
	}
	if h.Get("Content-Encoding") != "" {
		return false
	}
	return isTextType(h.Get("Content-Type")) && utf8.Valid(body)
}

func isTextType(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch t {
	case "application/json", "application/xml", "application/javascript":
		return true
	}
	return strings.HasPrefix(t, "text/") || strings.HasSuffix(t, "+json") || strings.HasSuffix(t, "+xml")
}
