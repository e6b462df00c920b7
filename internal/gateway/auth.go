package gateway

import (
	"net/http"
	"net/url"

	"mayfly.dev/mayfly/internal/fault"
)

// The values of a function URL's AuthType.
const (
	authNone = "NONE"
	authIAM  = "AWS_IAM"
)

// mayKnock refuses, before the body is read, a request that can't be let in.
func (g *Gateway) mayKnock(q *request) error {
	switch q.target.fn.URL.AuthType {
	case authNone:
		return nil
	case authIAM:
		if g.cfg.Verifier != nil && signed(q) {
			return nil
		}
		return fault.New(fault.Unauthenticated, "MissingAuthenticationToken",
			"Forbidden: this function wants requests signed with AWS Signature Version 4 for the service lambda")
	default:
		return fault.New(fault.Denied, "AuthType", "Forbidden: the authorization type of this function is not known")
	}
}

func signed(q *request) bool {
	if len(q.Get("authorization")) > 0 {
		return true
	}
	query, _ := url.ParseQuery(string(q.Query)) // of what can't be read the rest counts
	return query.Has("X-Amz-Signature")
}

// authorize checks the signature, now that the body is here.
func (g *Gateway) authorize(q *request) error {
	if q.target.fn.URL.AuthType != authIAM {
		return nil
	}
	r, err := q.standard()
	if err != nil {
		return err
	}
	id, err := g.cfg.Verifier.Verify(r, q.event[len(bodyMember):], "lambda")
	if err != nil {
		return err
	}
	if id.Namespace != q.target.fn.Namespace {
		return fault.New(fault.Denied, "OtherNamespace", "Forbidden: this key may not call functions of other accounts")
	}
	q.caller = &id
	return nil
}

// standard returns the request's head as net/http would have read it: what a
// verifier needs, and nobody else.
func (q *request) standard() (*http.Request, error) {
	target := string(q.Target)
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "MalformedRequest", "the request's target is not a URL")
	}
	h := make(http.Header, len(q.Fields))
	for _, f := range q.Fields {
		if string(f.Name) != "host" && string(f.Name) != "transfer-encoding" {
			h.Add(string(f.Name), string(f.Value))
		}
	}
	return &http.Request{
		Method: string(q.Method), URL: u, RequestURI: target, Host: string(q.Host), Header: h,
		Proto: q.Proto(), ProtoMajor: 1, ProtoMinor: q.Minor, ContentLength: q.ContentLength,
	}, nil
}
