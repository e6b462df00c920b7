// Package sigv4 checks AWS Signature Version 4 on incoming requests, in the
// header form and in the presigned query form. Every payload must be signed: a
// captured signature does not serve another body. Repeating the identical
// request within its time window is accepted, as AWS does.
//
// The faults are all Unauthenticated, their details are the sentences that AWS
// clients know. A [Verifier] is safe for concurrent use.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/fault"
)

// The reasons of this package's faults.
const (
	MissingToken     = "MissingAuthenticationToken" // no signature at all
	Incomplete       = "IncompleteSignature"        // a malformed one
	InvalidSignature = "InvalidSignature"           // one that does not fit the request
	ExpiredSignature = "ExpiredSignature"           // one that is too old or from the future
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
	// maxSkew is how far a signature's time may be from the node's clock.
	maxSkew = 15 * time.Minute
	// maxExpires is the longest life of a presigned request.
	maxExpires = 7 * 24 * time.Hour
	// globalRegion is what clients of services without regions sign for.
	globalRegion = "us-east-1"
)

// Secrets finds the secret behind an access key id. [auth.Keys] is one.
type Secrets interface {
	Secret(accessKeyID, sessionToken string, now time.Time) (auth.Identity, string, error)
}

// Verifier checks signatures made for one region.
type Verifier struct {
	Secrets Secrets
	// Region is the one that credentials must be scoped to.
	Region string
	// Now is the clock; nil: [time.Now].
	Now func() time.Time
}

// Signature is a request's signature, checked as far as that is possible
// without the body. Nothing is proven until [Signature.Verify] returns nil.
type Signature struct {
	// Identity is who the request says it is from.
	Identity auth.Identity
	// Service is the service that the credential is scoped to.
	Service string

	parts         parts
	secret        string
	canonicalHead string // the canonical request but for the payload's digest
	payloadSHA256 string // what X-Amz-Content-Sha256 announces; empty: nothing
}

// Verify checks r's signature for a service over a body that was read already
// and returns who made it.
func (v *Verifier) Verify(r *http.Request, body []byte, service string) (auth.Identity, error) {
	s, err := v.Begin(r)
	if err != nil {
		return auth.Identity{}, err
	}
	if s.Service != service {
		return auth.Identity{}, invalid("Credential should be scoped to correct service: '%s'.", service)
	}
	return s.Identity, s.Verify(body)
}

// Begin checks what r's head tells: form, key, scope, time and which headers are
// signed. The body is not touched, so that a stranger can't make the node read
// one.
func (v *Verifier) Begin(r *http.Request) (*Signature, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.New(fault.Unauthenticated, Incomplete, "the query string is not valid: %v", err)
	}
	p, err := parse(r.Header, query)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if v.Now != nil {
		now = v.Now()
	}
	identity, secret, err := v.Secrets.Secret(p.accessKeyID, p.sessionToken, now)
	if err != nil {
		return nil, err
	}
	if err := v.checkScope(p); err != nil {
		return nil, err
	}
	if err := checkTime(p, now); err != nil {
		return nil, err
	}
	if err := checkSigned(r.Header, p.signedHeaders); err != nil {
		return nil, err
	}
	payload, err := announcedPayload(r.Header)
	if err != nil {
		return nil, err
	}
	return &Signature{
		Identity: identity, Service: p.service,
		parts: p, secret: secret,
		canonicalHead: canonicalHead(r, query, p.signedHeaders),
		payloadSHA256: payload,
	}, nil
}

// Verify checks that the signature was made for the request's head and body
// with the key's secret.
func (s *Signature) Verify(body []byte) error {
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	if s.payloadSHA256 != "" && s.payloadSHA256 != digest {
		return invalid("The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	request := sha256.Sum256([]byte(s.canonicalHead + digest))
	toSign := algorithm + "\n" + s.parts.time.Format(timeFormat) + "\n" + s.parts.scope() + "\n" + hex.EncodeToString(request[:])
	key := []byte("AWS4" + s.secret)
	for _, part := range []string{s.parts.date, s.parts.region, s.parts.service, "aws4_request", toSign} {
		key = mac(key, part)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(key)), []byte(s.parts.signature)) {
		return invalid("The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (v *Verifier) checkScope(p parts) error {
	global := p.region == globalRegion && (p.service == "iam" || p.service == "sts")
	if p.region != v.Region && !global {
		return invalid("Credential should be scoped to a valid region, not '%s'. This node's region is '%s'.", p.region, v.Region)
	}
	if day := p.time.Format("20060102"); p.date != day {
		return invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			p.date, day, p.time.Format(timeFormat))
	}
	return nil
}

// checkTime checks that now lies within the signature's life. A header form
// lives as long as clocks may differ, a presigned one as long as it says.
func checkTime(p parts, now time.Time) error {
	now = now.UTC()
	if earliest := p.time.Add(-maxSkew); now.Before(earliest) {
		return expired("Signature not yet current: %s is still later than %s (%s + %d min.)",
			p.time, now.Add(maxSkew), now, maxSkew)
	}
	life := maxSkew
	if p.expires > 0 {
		life = p.expires
	}
	if now.After(p.time.Add(life)) {
		return expired("Signature expired: %s is now earlier than %s (%s - %d min.)",
			p.time, now.Add(-life), now, life)
	}
	return nil
}

func expired(format string, signed, bound, now time.Time, life time.Duration) error {
	return fault.New(fault.Unauthenticated, ExpiredSignature, format,
		signed.Format(timeFormat), bound.Format(timeFormat), now.Format(timeFormat), int(life.Minutes()))
}

// checkSigned checks that the signature covers what changes a request's
// meaning: the host and every x-amz- header.
func checkSigned(h http.Header, signed []string) error {
	covered := make(map[string]bool, len(signed))
	for _, name := range signed {
		covered[name] = true
	}
	if !covered["host"] {
		return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range h {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !covered[name] {
			return invalid("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return nil
}

// announcedPayload returns the digest that X-Amz-Content-Sha256 announces. The
// forms that leave the payload unsigned are Amazon S3's alone.
func announcedPayload(h http.Header) (string, error) {
	values := h.Values("X-Amz-Content-Sha256")
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", invalid("X-Amz-Content-Sha256 occurs more than once.")
	case !hexDigest.MatchString(values[0]):
		return "", invalid("The payload must be signed: x-amz-content-sha256 must be the SHA-256 digest of the body in hexadecimal.")
	}
	return values[0], nil
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Unauthenticated, InvalidSignature, format, args...)
}
