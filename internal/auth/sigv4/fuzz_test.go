package sigv4_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/auth/sigv4"
	"mayfly.dev/mayfly/internal/fault"
)

func FuzzAuthorizationNeverPassesUnsigned(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential="+accessKey+"/20261122/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64), "20261122T204518Z", "")
	f.Add("AWS4-HMAC-SHA256 Credential=,SignedHeaders=;,Signature==", "", "")
	f.Add("", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Date=b&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=d")
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r := &http.Request{Method: http.MethodGet, Host: "h", URL: &url.URL{Path: "/", RawQuery: query}, RequestURI: "/", Header: http.Header{}}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		if date != "" {
			r.Header.Set("X-Amz-Date", date)
		}
		_, err := verifier().Verify(r, nil, "lambda")
		if err == nil {
			t.Fatalf("%q with date %q and query %q is accepted", authorization, date, query)
		}
		if fault.From(err).Kind != fault.Unauthenticated {
			t.Fatalf("got %v, want an Unauthenticated fault", err)
		}
	})
}

func FuzzCanonicalFormAgreesWithTheSDK(f *testing.F) {
	f.Add("/2015-03-31/functions/f", "k", "v", "body")
	f.Add("/a b/%/ä/..//", "q+=&;", "\x00/~ä", "")
	f.Add("/:@!$&'()*,;=", "", "  ", "{}")
	f.Fuzz(func(t *testing.T, path, key, value, body string) {
		target := url.URL{Path: "/" + strings.TrimPrefix(path, "/"), RawQuery: url.Values{key: {value, "2", "1"}, "z": {""}}.Encode()}
		r := sign(t, request{target: target.EscapedPath() + "?" + target.RawQuery, body: body})
		if _, err := verifier().Verify(r, []byte(body), "lambda"); err != nil {
			t.Fatalf("%s: %v", r.RequestURI, err)
		}
		_, err := verifier().Verify(r, []byte(body+"x"), "lambda")
		if !fault.Is(err, fault.Unauthenticated, sigv4.InvalidSignature) {
			t.Fatalf("with another body: %v", err)
		}
	})
}
