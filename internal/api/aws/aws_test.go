package aws_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkiam "github.com/aws/aws-sdk-go-v2/service/iam"
	sdklambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	sdksts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"mayfly.dev/mayfly/internal/api/aws"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
)

const (
	region  = "us-east-1"
	account = function.DefaultAccount
	role    = "arn:aws:iam::000000000000:role/r"
)

// front is the handler behind a server, with the SDK's clients.
type front struct {
	url     string
	key     auth.Key
	keys    *auth.Keys
	catalog *fakeCatalog
	invoker *fakeInvoker
	calls   atomic.Int32 // that reached the server
	lambda  *sdklambda.Client
	sts     *sdksts.Client
	iam     *sdkiam.Client
}

func start(t *testing.T) *front {
	t.Helper()
	keys, err := auth.OpenKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &front{key: keys.Default(), keys: keys, catalog: newCatalog(), invoker: &fakeInvoker{}}
	handler := aws.New(aws.Config{
		Keys: keys, Catalog: f.catalog, Invoker: f.invoker, Roles: newStore(),
		Resolve: resolve, Account: func(string) string { return account },
		Region: region, GatewayPort: 8080, Concurrency: 100,
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.calls.Add(1)
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	f.connect(credentials.NewStaticCredentialsProvider(f.key.AccessKeyID, f.key.SecretAccessKey, ""), region)
	return f
}

func resolve(runtime string) (language.Resolution, error) {
	switch {
	case strings.HasPrefix(runtime, "java"):
		return language.Resolution{}, fault.New(fault.Unsupported, "RuntimeNotFound", "no Java was found: install openjdk")
	case strings.HasPrefix(runtime, "nodejs"), strings.HasPrefix(runtime, "python"):
		return language.Resolution{Runtime: runtime}, nil
	default:
		return language.Resolution{}, fault.New(fault.Invalid, "UnknownRuntime", "unknown")
	}
}

func (f *front) connect(c sdk.CredentialsProvider, region string) {
	cfg := sdk.Config{Region: region, Credentials: c, BaseEndpoint: &f.url}
	f.lambda, f.sts, f.iam = sdklambda.NewFromConfig(cfg), sdksts.NewFromConfig(cfg), sdkiam.NewFromConfig(cfg)
}

// send sends a signed request of a service by hand.
func (f *front) send(t *testing.T, service, method, path, body string, header http.Header) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	creds := sdk.Credentials{AccessKeyID: f.key.AccessKeyID, SecretAccessKey: f.key.SecretAccessKey}
	if err := signer.NewSigner().SignHTTP(t.Context(), creds, r, digest(body), service, region, time.Now()); err != nil {
		t.Fatal(err)
	}
	return do(t, r)
}

// reply is a response that was read.
type reply struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, r *http.Request) reply {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(body)}
}

func zipped(t *testing.T, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("index.js")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// wantError checks an SDK's error: status, code and a part of the message.
func wantError(t *testing.T, err error, status int, code, message string) {
	t.Helper()
	var api smithy.APIError
	var res *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &res) {
		t.Fatalf("got %v, want %d %s", err, status, code)
	}
	if res.HTTPStatusCode() != status || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), message) {
		t.Errorf("got %d %s %q, want %d %s with %q", res.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage(), status, code, message)
	}
}

func TestWrongCredentialsAreRefusedInEachServicesForm(t *testing.T) {
	wrong := credentials.NewStaticCredentialsProvider
	for name, c := range map[string]struct {
		credentials     func(f *front) sdk.CredentialsProvider
		region          string
		lambda, query   string // the code in each dialect
		message         string
		lambdaS, queryS int
	}{
		"unknown key": {
			func(*front) sdk.CredentialsProvider { return wrong("MAYFLYAAAAAAAAAAAAAA", "x", "") }, region,
			"UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid.", 403, 403,
		},
		"wrong secret": {
			func(f *front) sdk.CredentialsProvider { return wrong(f.key.AccessKeyID, "x", "") }, region,
			"InvalidSignatureException", "SignatureDoesNotMatch", "The request signature we calculated does not match", 403, 403,
		},
		"other region": {
			func(f *front) sdk.CredentialsProvider {
				return wrong(f.key.AccessKeyID, f.key.SecretAccessKey, "")
			}, "eu-west-1",
			"InvalidSignatureException", "SignatureDoesNotMatch", "Credential should be scoped to a valid region", 403, 403,
		},
		"expired session": {
			func(f *front) sdk.CredentialsProvider {
				s, err := f.keys.NewSession("default", auth.AssumedRole{Name: "r"}, time.Now().Add(-time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				return wrong(s.AccessKeyID, s.SecretAccessKey, s.Token)
			}, region,
			"ExpiredTokenException", "ExpiredToken", "The security token included in the request is expired", 403, 403,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.connect(c.credentials(f), c.region)
			_, err := f.lambda.ListFunctions(t.Context(), &sdklambda.ListFunctionsInput{})
			wantError(t, err, c.lambdaS, c.lambda, c.message)
			_, err = f.sts.GetCallerIdentity(t.Context(), &sdksts.GetCallerIdentityInput{})
			wantError(t, err, c.queryS, c.query, c.message)
		})
	}
}

func TestAnUnsignedRequestIsRefused(t *testing.T) {
	f := start(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/2015-03-31/functions/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res := do(t, r)
	if res.status != http.StatusForbidden || res.header.Get("X-Amzn-Errortype") != "MissingAuthenticationTokenException" ||
		!strings.Contains(res.body, `"message":"Missing Authentication Token"`) {
		t.Errorf("got %d %v", res.status, res.header)
	}
}

func TestASignatureDoesNotServeAnotherBody(t *testing.T) {
	f := start(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/2015-03-31/functions/f/invocations", strings.NewReader(`{"a":2}`))
	if err != nil {
		t.Fatal(err)
	}
	creds := sdk.Credentials{AccessKeyID: f.key.AccessKeyID, SecretAccessKey: f.key.SecretAccessKey}
	if err := signer.NewSigner().SignHTTP(t.Context(), creds, r, digest(`{"a":1}`), "lambda", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	if res := do(t, r); res.status != http.StatusForbidden || res.header.Get("X-Amzn-Errortype") != "InvalidSignatureException" {
		t.Errorf("got %d %v", res.status, res.header)
	}
}

func TestWhatMayflyLacksIsNamedAndNotRepeated(t *testing.T) {
	f := start(t)
	_, err := f.lambda.PublishVersion(t.Context(), &sdklambda.PublishVersionInput{FunctionName: sdk.String("f")})
	wantError(t, err, 501, "NotImplementedException", "PublishVersion is not supported by mayfly yet.")
	_, err = f.iam.CreateUser(t.Context(), &sdkiam.CreateUserInput{UserName: sdk.String("u")})
	wantError(t, err, 501, "NotImplementedException", "CreateUser is not supported")
	if f.calls.Load() != 2 {
		t.Errorf("the client made %d calls, want one for each operation", f.calls.Load())
	}
	for name, c := range map[string]struct {
		service, path string
		header        http.Header
		want          string
	}{
		"by target": {"dynamodb", "/", http.Header{"X-Amz-Target": {"DynamoDB_20120810.ListTables"}}, `"__type":"NotImplementedException"`},
		"s3":        {"s3", "/bucket", nil, "<Error><Code>NotImplementedException</Code>"},
		"query":     {"sns", "/", http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}, "<Code>NotImplementedException</Code>"},
		"rest-json": {"scheduler", "/schedules", nil, `"message":"The service 'scheduler' is not supported by mayfly yet."`},
	} {
		t.Run(name, func(t *testing.T) {
			res := f.send(t, c.service, http.MethodPost, c.path, "", c.header)
			if res.status != http.StatusNotImplemented || !strings.Contains(res.body, c.want) || !strings.Contains(res.body, c.service) {
				t.Errorf("got %d %s", res.status, res.body)
			}
		})
	}
}

func TestAnUnknownPathIsAnUnknownOperation(t *testing.T) {
	f := start(t)
	res := f.send(t, "lambda", http.MethodGet, "/2015-03-31/nothing", "", nil)
	if res.status != http.StatusNotFound || res.header.Get("X-Amzn-Errortype") != "UnknownOperationException" {
		t.Errorf("got %d %v", res.status, res.header)
	}
}

func TestAPanicIsAnsweredAsInternal(t *testing.T) {
	f := start(t)
	f.create(t, "f")
	f.invoker.panics = true
	res := f.send(t, "lambda", http.MethodPost, "/2015-03-31/functions/f/invocations", "{}", nil)
	if res.status != http.StatusInternalServerError || strings.Contains(res.body, "boom") || res.header.Get("X-Amzn-Errortype") != "ServiceException" {
		t.Errorf("got %d %s", res.status, res.body)
	}
}

func TestABodyThatIsCutOffReachesNoService(t *testing.T) {
	f := start(t)
	f.create(t, "f")
	got := f.cutOff(t, "/2015-03-31/functions/f/invocations", `{"a":1}`, 7)
	if got.status != http.StatusBadRequest || f.invoker.got != nil {
		t.Errorf("got %d %s, invoked %v", got.status, got.body, f.invoker.got)
	}
}

func TestAnAnnouncedBodyAboveTheLimitIsRefused(t *testing.T) {
	f := start(t)
	for path, want := range map[string]string{
		"/2015-03-31/functions":               "Request must be smaller than 70167211 bytes for the CreateFunction operation",
		"/2015-03-31/functions/f/invocations": "80000000 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)",
	} {
		got := f.cutOff(t, path, "{}", 80_000_000)
		if got.status != http.StatusRequestEntityTooLarge || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
}

// cutOff announces a body of a size, sends less than that, ends the connection's
// sending half and returns the answer.
func (f *front) cutOff(t *testing.T, path, body string, size int64) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = size
	creds := sdk.Credentials{AccessKeyID: f.key.AccessKeyID, SecretAccessKey: f.key.SecretAccessKey}
	if err := signer.NewSigner().SignHTTP(t.Context(), creds, r, digest(body), "lambda", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var wire bytes.Buffer
	fmt.Fprintf(&wire, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", path, r.Host, size)
	if err := r.Header.Write(&wire); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&wire, "\r\n%s", body[:1])
	if _, err := conn.Write(wire.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}
