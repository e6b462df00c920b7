package sigv4_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/auth/sigv4"
	"mayfly.dev/mayfly/internal/fault"
)

const (
	accessKey = "MAYFLYTESTTESTTEST00"
	secret    = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	token     = "session/token+with=characters"
)

var now = time.Date(2026, 11, 22, 20, 45, 18, 0, time.UTC)

type secrets struct{}

func (secrets) Secret(id, sessionToken string, _ time.Time) (auth.Identity, string, error) {
	if id != accessKey || sessionToken != "" && sessionToken != token {
		return auth.Identity{}, "", fault.New(fault.Unauthenticated, "UnknownKey", "unknown")
	}
	return auth.Identity{Name: "admin", Namespace: "default", AccessKeyID: id}, secret, nil
}

func verifier() *sigv4.Verifier {
	return &sigv4.Verifier{Secrets: secrets{}, Region: "us-east-1", Now: func() time.Time { return now }}
}

// request is what a test signs.
type request struct {
	method, target, body string
	header               http.Header
	presign              bool
	expires              string // of presign
	service, region      string
	sessionToken         string
	at                   time.Time
	// digest of the payload that is signed instead of the true one.
	digest string
}

// sign signs q with AWS's own signer and returns what a server reads.
func sign(tb testing.TB, q request) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), or(q.method, "POST"), "http://127.0.0.1:9000"+or(q.target, "/"), strings.NewReader(q.body))
	if err != nil {
		tb.Fatal(err)
	}
	maps.Copy(r.Header, q.header)
	sum := sha256.Sum256([]byte(q.body))
	digest := or(q.digest, hex.EncodeToString(sum[:]))
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret, SessionToken: q.sessionToken}
	at := q.at
	if at.IsZero() {
		at = now
	}
	service, region := or(q.service, "lambda"), or(q.region, "us-east-1")
	if q.presign {
		query := r.URL.Query()
		query.Set("X-Amz-Expires", or(q.expires, "60"))
		r.URL.RawQuery = query.Encode()
		signed, headers, err := signer.NewSigner().PresignHTTP(tb.Context(), creds, r, digest, service, region, at)
		if err != nil {
			tb.Fatal(err)
		}
		if r.URL, err = url.Parse(signed); err != nil {
			tb.Fatal(err)
		}
		for k, v := range headers {
			if k != "Host" {
				r.Header[k] = v
			}
		}
	} else if err := signer.NewSigner().SignHTTP(tb.Context(), creds, r, digest, service, region, at); err != nil {
		tb.Fatal(err)
	}
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		tb.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func TestSignaturesOfTheSDKAreAccepted(t *testing.T) {
	for name, q := range map[string]request{
		"plain":               {},
		"body":                {body: `{"a":1}`},
		"path with an ARN":    {method: "GET", target: "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af"},
		"path with a colon":   {method: "GET", target: "/2015-03-31/functions/f:prod"},
		"trailing slash":      {method: "GET", target: "/2015-03-31/functions/"},
		"blanks in the path":  {method: "GET", target: "/a%20b/%C3%A4~"},
		"query out of order":  {method: "GET", target: "/?b=2&a=2&a=1&c=&A-b=x&A=y"},
		"encoded query":       {method: "GET", target: "/?Marker=%2F%2B%3D%20%C3%A4&q=a%25b"},
		"header with blanks":  {header: http.Header{"X-Amz-Client-Context": {"  a   b  "}}},
		"header twice":        {header: http.Header{"X-Amz-Log-Type": {"Tail", "None"}}},
		"session token":       {sessionToken: token},
		"announced payload":   {body: "x", header: http.Header{"X-Amz-Content-Sha256": {"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}}},
		"clock behind":        {at: now.Add(-14 * time.Minute)},
		"clock ahead":         {at: now.Add(14 * time.Minute)},
		"presigned":           {method: "GET", presign: true, target: "/?Action=GetCallerIdentity&Version=2011-06-15", service: "sts"},
		"presigned, token":    {method: "GET", presign: true, sessionToken: token},
		"presigned, old":      {method: "GET", presign: true, expires: "604800", at: now.Add(-6 * 24 * time.Hour)},
		"presigned with body": {presign: true, body: "payload"},
		"iam from elsewhere":  {service: "iam", region: "us-east-1"},
	} {
		t.Run(name, func(t *testing.T) {
			v := verifier()
			if name == "iam from elsewhere" {
				v.Region = "eu-central-1"
			}
			id, err := v.Verify(sign(t, q), []byte(q.body), or(q.service, "lambda"))
			if err != nil || id.Name != "admin" {
				t.Errorf("got %+v, %v", id, err)
			}
		})
	}
}

func TestSignaturesThatDoNotFitAreRefused(t *testing.T) {
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	edit := func(old, replacement string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, replacement, 1))
		}
	}
	query := func(key, value string) func(*http.Request) {
		return func(r *http.Request) {
			q := r.URL.Query()
			q.Set(key, value)
			r.URL.RawQuery = q.Encode()
		}
	}
	for name, c := range map[string]struct {
		request request
		body    string // that arrives; empty: the signed one
		change  func(*http.Request)
		reason  string
		detail  string // a part of it
	}{
		"none":                   {change: func(r *http.Request) { r.Header.Del("Authorization") }, reason: sigv4.MissingToken, detail: "Missing Authentication Token"},
		"another body":           {request: request{body: "a"}, body: "b", reason: sigv4.InvalidSignature, detail: "does not match the signature you provided"},
		"presigned another body": {request: request{body: "a", presign: true}, body: "b", reason: sigv4.InvalidSignature},
		"another method":         {change: func(r *http.Request) { r.Method = "PUT" }, reason: sigv4.InvalidSignature},
		"another path":           {change: func(r *http.Request) { r.RequestURI = "/x" }, reason: sigv4.InvalidSignature},
		"another query":          {change: func(r *http.Request) { r.URL.RawQuery = "Qualifier=1" }, reason: sigv4.InvalidSignature},
		"another host":           {change: func(r *http.Request) { r.Host = "evil" }, reason: sigv4.InvalidSignature},
		"another header":         {request: request{header: http.Header{"X-Amz-Log-Type": {"None"}}}, change: set("X-Amz-Log-Type", "Tail"), reason: sigv4.InvalidSignature},
		"added x-amz header":     {change: set("X-Amz-Log-Type", "Tail"), reason: sigv4.InvalidSignature, detail: "'x-amz-log-type' must be a 'SignedHeader'"},
		"host not signed":        {change: edit("=host;x-amz-date", "=x-amz-date"), reason: sigv4.InvalidSignature, detail: "'Host' or ':authority' must be"},
		"unsigned payload":       {request: request{digest: "UNSIGNED-PAYLOAD", header: http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}}, reason: sigv4.InvalidSignature, detail: "payload must be signed"},
		"streaming payload":      {request: request{digest: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", header: http.Header{"X-Amz-Content-Sha256": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}}}, reason: sigv4.InvalidSignature, detail: "payload must be signed"},
		"wrong announcement":     {request: request{body: "a", header: http.Header{"X-Amz-Content-Sha256": {strings.Repeat("0", 64)}}}, reason: sigv4.InvalidSignature, detail: "x-amz-content-sha256"},
		"expired":                {request: request{at: now.Add(-16 * time.Minute)}, reason: sigv4.ExpiredSignature, detail: "Signature expired: 20261122T202918Z is now earlier than 20261122T203018Z (20261122T204518Z - 15 min.)"},
		"from the future":        {request: request{at: now.Add(16 * time.Minute)}, reason: sigv4.ExpiredSignature, detail: "Signature not yet current: 20261122T210118Z is still later than 20261122T210018Z (20261122T204518Z + 15 min.)"},
		"presigned, expired":     {request: request{presign: true, at: now.Add(-2 * time.Minute)}, reason: sigv4.ExpiredSignature, detail: "Signature expired"},
		"presigned, life longer": {request: request{presign: true, at: now.Add(-2 * time.Minute)}, change: query("X-Amz-Expires", "600"), reason: sigv4.InvalidSignature},
		"presigned, endless":     {request: request{presign: true, expires: "604801"}, reason: sigv4.Incomplete, detail: "X-Amz-Expires"},
		"presigned and header":   {request: request{presign: true}, change: set("Authorization", "AWS4-HMAC-SHA256 x=y"), reason: sigv4.Incomplete, detail: "more than once"},
		"other region":           {request: request{region: "eu-west-1"}, reason: sigv4.InvalidSignature, detail: "Credential should be scoped to a valid region"},
		"other service":          {request: request{service: "sqs"}, reason: sigv4.InvalidSignature, detail: "scoped to correct service: 'lambda'"},
		"other day in scope":     {change: edit("20261122/", "20261121/"), reason: sigv4.InvalidSignature, detail: "Date in Credential scope does not match"},
		"unknown key":            {change: edit(accessKey, "MAYFLYXXXXXXXXXXXXXX"), reason: "UnknownKey"},
		"unknown token":          {request: request{sessionToken: "other"}, reason: "UnknownKey"},
		"wrong signature":        {change: edit("Signature=", "Signature="+strings.Repeat("0", 64)+",X="), reason: sigv4.InvalidSignature},
		"short signature":        {change: edit("Signature=", "Signature=0,X="), reason: sigv4.Incomplete, detail: "64 hexadecimal digits"},
		"no signature":           {change: edit("Signature=", "Signatur="), reason: sigv4.Incomplete, detail: "requires 'Signature' parameter"},
		"credential twice":       {change: edit("Credential=", "Credential=a, Credential="), reason: sigv4.Incomplete, detail: "more than once"},
		"bearer":                 {change: set("Authorization", "Bearer abc"), reason: sigv4.Incomplete, detail: "algorithm"},
		"asymmetric":             {change: edit("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), reason: sigv4.Incomplete, detail: "algorithm"},
		"no equals sign":         {change: set("Authorization", "AWS4-HMAC-SHA256 Credential"), reason: sigv4.Incomplete, detail: "missing equal-sign"},
		"short scope":            {change: edit("/aws4_request", ""), reason: sigv4.Incomplete, detail: "Credential must have the form"},
		"unsorted headers":       {change: edit("=host;x-amz-date", "=x-amz-date;host"), reason: sigv4.Incomplete, detail: "SignedHeaders"},
		"no date":                {change: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, reason: sigv4.Incomplete, detail: "'X-Amz-Date'"},
		"odd date":               {change: set("X-Amz-Date", "yesterday"), reason: sigv4.Incomplete, detail: "ISO-8601"},
		"two dates":              {change: func(r *http.Request) { r.Header.Add("X-Amz-Date", "20261122T204518Z") }, reason: sigv4.Incomplete, detail: "more than once"},
		"two authorizations":     {change: func(r *http.Request) { r.Header.Add("Authorization", "x") }, reason: sigv4.Incomplete, detail: "more than once"},
		"huge authorization":     {change: set("Authorization", strings.Repeat("a", 9000)), reason: sigv4.Incomplete, detail: "longer than"},
		"broken query":           {change: func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, reason: sigv4.Incomplete, detail: "query string"},
	} {
		t.Run(name, func(t *testing.T) {
			r := sign(t, c.request)
			if c.change != nil {
				c.change(r)
			}
			_, err := verifier().Verify(r, []byte(or(c.body, c.request.body)), "lambda")
			if !fault.Is(err, fault.Unauthenticated, c.reason) || !strings.Contains(err.Error(), c.detail) {
				t.Errorf("got %v (%s), want %s with %q", err, fault.From(err).Reason, c.reason, c.detail)
			}
		})
	}
}

func TestTheDateHeaderServesToo(t *testing.T) {
	// Signed by hand: the SDK always sets X-Amz-Date.
	r := sign(t, request{})
	r.Header.Del("X-Amz-Date")
	r.Header.Set("Date", now.Format(http.TimeFormat))
	_, err := verifier().Verify(r, nil, "lambda")
	if !fault.Is(err, fault.Unauthenticated, sigv4.InvalidSignature) || !strings.Contains(err.Error(), "calculated") {
		t.Errorf("got %v, want that the date is read and the signature compared", err)
	}
}

func TestTheIdenticalRequestMayBeRepeated(t *testing.T) {
	r := sign(t, request{body: "again"})
	for range 2 {
		if _, err := verifier().Verify(r, []byte("again"), "lambda"); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	body := strings.Repeat("a", 1024)
	r := sign(b, request{target: "/2015-03-31/functions/hello/invocations", body: body})
	v := verifier()
	for b.Loop() {
		if _, err := v.Verify(r, []byte(body), "lambda"); err != nil {
			b.Fatal(err)
		}
	}
}
