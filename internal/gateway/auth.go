package gateway

import (
	"net/http"

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
		if g.cfg.Verifier != nil && signed(q.Request) {
			return nil
		}
		return fault.New(fault.Unauthenticated, "MissingAuthenticationToken",
			"Forbidden: this function wants requests signed with AWS Signature Version 4 for the service lambda")
	default:
		return fault.New(fault.Denied, "AuthType", "Forbidden: the authorization type of this function is not known")
	}
}

func signed(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.URL.Query().Has("X-Amz-Signature")
}

// authorize checks the signature, now that the body is here.
func (g *Gateway) authorize(q *request) error {
	if q.target.fn.URL.AuthType != authIAM {
		return nil
	}
	id, err := g.cfg.Verifier.Verify(q.Request, q.body, "lambda")
	if err != nil {
		return err
	}
	if id.Namespace != q.target.fn.Namespace {
		return fault.New(fault.Denied, "OtherNamespace", "Forbidden: this key may not call functions of other accounts")
	}
	q.caller = &id
	return nil
}
