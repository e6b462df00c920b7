package inner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkiam "github.com/aws/aws-sdk-go-v2/service/iam"
	sdklambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	sdksts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/api/inner"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// functions is a catalog with one function in each of two namespaces.
type functions struct{ inner.Catalog }

func (functions) Function(namespace, name string) (*function.Function, error) {
	if namespace+"/"+name != "default/callee" && namespace+"/"+name != "foreign/secret" {
		return nil, fault.New(fault.NotFound, "FunctionNotFound", "there is no function %s", name)
	}
	f := &function.Function{Namespace: namespace, Name: name, State: function.Active}
	f.Latest.Function, f.Latest.Namespace, f.Latest.Number = name, namespace, function.Latest
	return f, nil
}

// invoked answers invocations.
type invoked func(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)

func (i invoked) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	return i(ctx, inv)
}

func echo(_ context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	return &invocation.Result{Payload: inv.Payload, ContentType: "application/json"}, nil
}

// node is an API with the keys that seal for it.
type node struct {
	*inner.API

	keys *auth.Keys
}

func start(t *testing.T, answer invoked) *node {
	t.Helper()
	keys, err := auth.OpenKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n := &node{keys: keys, API: inner.New(inner.Config{
		Sealer: keys, Catalog: functions{}, Invoker: answer, Region: "us-east-1",
		Account: func(string) string { return function.DefaultAccount },
	})}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// caller is a function in its environment.
type caller struct {
	url   string
	token string
	end   io.Closer
	cfg   sdk.Config
}

// caller serves a function of that name.
func (n *node) caller(t *testing.T, name string) *caller {
	t.Helper()
	v := &function.Version{Namespace: "default", Function: name}
	v.Role = "arn:aws:iam::000000000000:role/service/worker"
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url, end := n.Serve(ln, "e-"+name)
	c := n.Credentials(v, "e-"+name)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := end.Close(); err != nil {
			t.Error(err)
		}
	})
	return &caller{url: url, token: c.SessionToken, end: end, cfg: sdk.Config{
		Region: "us-east-1", BaseEndpoint: &url, HTTPClient: client, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
	}}
}

// native sends a request of the native API.
func (c *caller) native(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.cfg.HTTPClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}

func TestAFunctionInvokesAnother(t *testing.T) {
	var seen *invocation.Invocation
	n := start(t, func(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
		seen = inv
		return echo(ctx, inv)
	})
	c := n.caller(t, "caller")
	out, err := sdklambda.NewFromConfig(c.cfg).Invoke(t.Context(), &sdklambda.InvokeInput{FunctionName: sdk.String("callee"), Payload: []byte(`{"a":1}`)})
	if err != nil || string(out.Payload) != `{"a":1}` {
		t.Fatalf("invoke: %v, %v", out, err)
	}
	if seen.Trigger != "function" || seen.Ref.Namespace != "default" || seen.Ref.Name != "callee" {
		t.Errorf("invoked %+v", seen)
	}
	if status, body := c.native(t, "POST", "/v1/namespaces/default/functions/callee/invocations", `{"b":2}`); status != 200 || body != `{"b":2}` {
		t.Errorf("native invoke: %d %s", status, body)
	}
	who, err := sdksts.NewFromConfig(c.cfg).GetCallerIdentity(t.Context(), &sdksts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:sts::000000000000:assumed-role/worker/caller" {
		t.Errorf("caller identity: %+v, %v", who, err)
	}
}

func TestAFunctionMayDoNothingElse(t *testing.T) {
	n := start(t, echo)
	c := n.caller(t, "caller")
	ctx, functions := t.Context(), sdklambda.NewFromConfig(c.cfg)
	name := sdk.String("callee")
	for action, do := range map[string]func() error{
		"lambda:ListFunctions": func() error { _, err := functions.ListFunctions(ctx, nil); return err },
		"lambda:GetFunction": func() error {
			_, err := functions.GetFunction(ctx, &sdklambda.GetFunctionInput{FunctionName: name})
			return err
		},
		"lambda:DeleteFunction": func() error {
			_, err := functions.DeleteFunction(ctx, &sdklambda.DeleteFunctionInput{FunctionName: name})
			return err
		},
		"lambda:CreateAlias": func() error {
			_, err := functions.CreateAlias(ctx, &sdklambda.CreateAliasInput{FunctionName: name, Name: name, FunctionVersion: sdk.String("1")})
			return err
		},
		"iam:ListRoles": func() error {
			_, err := sdkiam.NewFromConfig(c.cfg).ListRoles(ctx, &sdkiam.ListRolesInput{})
			return err
		},
		"sts:AssumeRole": func() error {
			_, err := sdksts.NewFromConfig(c.cfg).AssumeRole(ctx, &sdksts.AssumeRoleInput{RoleArn: sdk.String("arn:aws:iam::000000000000:role/service/worker"), RoleSessionName: name})
			return err
		},
	} {
		err := do()
		want := "AccessDenied"
		if strings.HasPrefix(action, "lambda:") {
			want = "AccessDeniedException"
		}
		if code(err) != want || !strings.Contains(fmt.Sprint(err), "assumed-role/worker/caller is not authorized to perform: "+action) {
			t.Errorf("%s: %v, want %s", action, err, want)
		}
	}
	for _, request := range []struct {
		method, path string
		status       int
		reason       string
	}{
		{"GET", "/v1/node", 403, "ActionDenied"},
		{"GET", "/v1/namespaces/default/functions", 403, "ActionDenied"},
		{"GET", "/v1/namespaces/default/functions/callee/invocations", 403, "ActionDenied"},
		{"DELETE", "/v1/namespaces/default/functions/callee", 403, "ActionDenied"},
		{"GET", "/v1/debug/pprof/heap", 403, "ActionDenied"},
		{"POST", "/v1/namespaces/foreign/functions/secret/invocations", 403, "NamespaceDenied"},
	} {
		if status, body := c.native(t, request.method, request.path, ""); status != request.status || !strings.Contains(body, request.reason) {
			t.Errorf("%s %s: %d %s, want %d %s", request.method, request.path, status, body, request.status, request.reason)
		}
	}
	if status, body := c.native(t, "GET", "/metrics", ""); status < 400 {
		t.Errorf("metrics: %d %s", status, body)
	}
}

func TestCredentialsAreValidInTheirSandboxAlone(t *testing.T) {
	n := start(t, echo)
	mine, other := n.caller(t, "caller"), n.caller(t, "other")
	key := n.keys.Default()
	v := &function.Version{Namespace: "default", Function: "caller"}
	own := n.Credentials(v, "e-caller")
	for name, c := range map[string]sdk.CredentialsProvider{
		"of another environment": other.cfg.Credentials,
		"of the node":            credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
		"without the token":      credentials.NewStaticCredentialsProvider(own.AccessKeyID, own.SecretAccessKey, ""),
		"with a changed token":   credentials.NewStaticCredentialsProvider(own.AccessKeyID, own.SecretAccessKey, "A"+own.SessionToken),
	} {
		cfg := mine.cfg
		cfg.Credentials = c
		_, err := sdklambda.NewFromConfig(cfg).Invoke(t.Context(), &sdklambda.InvokeInput{FunctionName: sdk.String("callee")})
		if code(err) != "UnrecognizedClientException" {
			t.Errorf("credentials %s: %v, want UnrecognizedClientException", name, err)
		}
	}
	for name, token := range map[string]string{"of another environment": other.token, "of the node": key.Token, "none": ""} {
		c := *mine
		c.token = token
		if status, body := c.native(t, "POST", "/v1/namespaces/default/functions/callee/invocations", ""); status != http.StatusUnauthorized {
			t.Errorf("token %s: %d %s, want 401", name, status, body)
		}
	}
	c, err := other.cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.keys.Secret(c.AccessKeyID, c.SessionToken, time.Now()); !fault.Is(err, fault.Unauthenticated, "UnknownKey") {
		t.Errorf("at the control plane: %v, want UnknownKey", err)
	}
	if _, ok := n.keys.ByToken(other.token); ok {
		t.Error("the control plane knows a function's token")
	}
}

// TestFunctionsThatCallEachOtherWithoutEndAreStopped has a function call itself
// with the trace header that it was called with, as AWS SDKs do.
func TestFunctionsThatCallEachOtherWithoutEndAreStopped(t *testing.T) {
	var c *caller
	var traces []string
	n := start(t, func(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
		traces = append(traces, inv.TraceID)
		body, err := c.again(ctx, inv.TraceID)
		return &invocation.Result{Payload: body}, err
	})
	c = n.caller(t, "callee")
	body, err := c.again(t.Context(), "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Self=x")
	if err != nil || !strings.Contains(string(body), "RecursiveInvocation") {
		t.Errorf("got %s, %v, want RecursiveInvocation", body, err)
	}
	if len(traces) != 16 {
		t.Fatalf("%d calls came through, want 16", len(traces))
	}
	for i, trace := range traces {
		if want := fmt.Sprintf("Sampled=1;Self=x;Lineage=%d:0", i+1); !strings.HasSuffix(trace, want) {
			t.Errorf("call %d has the trace %s, want …%s", i+1, trace, want)
		}
	}
}

func (c *caller) again(ctx context.Context, trace string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/namespaces/default/functions/callee/invocations", http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("X-Amzn-Trace-Id", trace)
	resp, err := c.cfg.HTTPClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func TestConnectionsAreBoundedAndEndWithTheEnvironment(t *testing.T) {
	n := start(t, echo)
	c := n.caller(t, "caller")
	addr := strings.TrimPrefix(c.url, "http://")
	var open []net.Conn
	dial := func() net.Conn {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		return conn
	}
	request := "GET /v1/node HTTP/1.1\r\nHost: x\r\n\r\n"
	for range 64 {
		conn := dial()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	if _, err := io.Copy(io.Discard, dial()); err != nil && !isReset(err) {
		t.Errorf("one connection more: %v, want its end", err)
	}
	for range 2 {
		if err := c.end.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, conn := range slices.Concat(open) {
		if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
			t.Errorf("after the end: %v, want the connection's end", err)
		}
	}
	if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr); err == nil {
		conn.Close()
		t.Error("somebody still listens")
	}
}

func isReset(err error) bool { return strings.Contains(err.Error(), "reset") }
