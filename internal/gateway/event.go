package gateway

import (
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// bodyMember begins an event. The body comes first, so that it can be read from
// the connection to where it stays and be written out in place, with all that is
// known later behind it.
const bodyMember = `{"body":"`

// eventRoom is how much memory the event will need behind the body: what differs
// from one to the next is in the head, most of it once.
func (q *request) eventRoom() int {
	const fixed = 1024
	room := fixed + q.HeadBytes + q.HeadBytes/4 + 2*len(q.Query)
	length := max(0, int(q.ContentLength))
	if q.textType() {
		return room + length/16
	}
	return room + length/3
}

// describe writes the request out in payload format 2.0. It is done by hand, in
// one piece of memory, because it is done for every request and holds the whole
// body.
//
// That memory is the invocation's from then on: nobody here uses it again. A
// session may still be writing it when the call has ended in a timeout, and what
// is used again then would show one function another's event.
func (g *Gateway) describe(q *request) {
	t := &q.target
	text, empty := true, len(q.event) == len(bodyMember)
	b := q.event
	if empty {
		b = append(b[:0], '{')
	} else {
		text = q.textType() && utf8.Valid(b[len(bodyMember):])
		if text {
			b = escapeTail(b, len(bodyMember))
		} else {
			b = encodeTail(b, len(bodyMember))
		}
		b = append(b, `",`...)
	}
	b = append(b, `"isBase64Encoded":`...)
	b = strconv.AppendBool(b, !text)
	b = append(b, `,"version":"2.0","routeKey":"$default","rawPath":`...)
	b = appendString(b, t.path)
	b = append(b, `,"rawQueryString":`...)
	b = appendString(b, q.Query)
	b = q.appendCookies(b)
	b = append(q.appendHeaders(append(b, `,"headers":{`...)), '}')
	b = appendQuery(b, q.Query)
	b = g.appendContext(append(b, `,"requestContext":{`...), q)
	q.event = append(b, "}}"...)
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
	b = append(appendMember(b, "protocol", q.Proto()), ',')
	b = append(append(append(b, `"sourceIp":"`...), q.RemoteIP()...), `",`...)
	b = append(appendMember(b, "userAgent", q.Get("user-agent")), `},`...)
	b = append(appendMember(b, "requestId", q.id), ',')
	b = append(b, `"routeKey":"$default","stage":"$default","time":"`...)
	b = q.Received.UTC().AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `","timeEpoch":`...)
	return strconv.AppendInt(b, q.Received.UnixMilli(), 10)
}

// textType tells whether the body may go into the event as it is. Like AWS, only
// types known as text do; forms do not, nor does what is compressed.
func (q *request) textType() bool {
	if len(q.Get("content-encoding")) > 0 {
		return false
	}
	t := q.Get("content-type")
	switch string(t) {
	case "application/json", "text/plain", "text/plain; charset=utf-8", "text/plain;charset=UTF-8", "application/json; charset=utf-8":
		return true
	case "", "application/octet-stream", "application/x-www-form-urlencoded":
		return false
	}
	return isTextType(string(t))
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
