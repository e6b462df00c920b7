package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/gateway"
	"mayfly.dev/mayfly/internal/gateway/http1"
	"mayfly.dev/mayfly/internal/invocation"
)

const urlID = "abcdefghijklmnopqrstuvwxyz012345"

// world is all that a gateway knows: one function and what invoking it does.
type world struct {
	fn     *function.Function
	invoke func(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)
	last   *invocation.Invocation
}

func newWorld() *world {
	w := &world{fn: &function.Function{Namespace: "default", Name: "hello", URL: &function.URL{ID: urlID, AuthType: "NONE", InvokeMode: "BUFFERED"}}}
	w.answer(`{}`)
	return w
}

func (w *world) answer(payload string) {
	w.result(&invocation.Result{Payload: []byte(payload), ContentType: "application/json"})
}

func (w *world) result(res *invocation.Result) {
	w.invoke = func(context.Context, *invocation.Invocation) (*invocation.Result, error) { return res, nil }
}

func (w *world) refuse(err error) {
	w.invoke = func(context.Context, *invocation.Invocation) (*invocation.Result, error) { return nil, err }
}

func (w *world) FunctionByURL(id string) (*function.Function, error) {
	if w.fn.URL == nil || id != w.fn.URL.ID {
		return nil, fault.New(fault.NotFound, "FunctionNotFound", "not found")
	}
	return w.fn, nil
}

func (w *world) Function(namespace, name string) (*function.Function, error) {
	if namespace != w.fn.Namespace || name != w.fn.Name {
		return nil, fault.New(fault.NotFound, "FunctionNotFound", "not found")
	}
	return w.fn, nil
}

// unrecorded is the gateway of a world that many requests reach at once.
func (w *world) unrecorded() *gateway.Gateway {
	return gateway.New(gateway.Config{
		Functions: w, Invoker: invokerFunc(w.invoke), Region: "us-east-1", Account: func(string) string { return "000000000000" },
	})
}

type invokerFunc func(context.Context, *invocation.Invocation) (*invocation.Result, error)

func (f invokerFunc) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	return f(ctx, inv)
}

func (w *world) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	w.last = inv
	return w.invoke(ctx, inv)
}

// Verify takes the header Authorization: good NAMESPACE.
func (w *world) Verify(r *http.Request, body []byte, service string) (auth.Identity, error) {
	namespace, ok := strings.CutPrefix(r.Header.Get("Authorization"), "good ")
	if !ok || service != "lambda" || string(body) == "forged" {
		return auth.Identity{}, fault.New(fault.Unauthenticated, "InvalidSignature", "the signature does not match")
	}
	return auth.Identity{Name: "ann", Namespace: namespace, AccessKeyID: "MAYFLY1"}, nil
}

func (w *world) gateway() *gateway.Gateway {
	return gateway.New(gateway.Config{
		Functions: w, Invoker: w, Verifier: w, Region: "us-east-1",
		Account: func(string) string { return "000000000000" },
	})
}

// client is the address that requests to a served world come from.
const client = "192.0.2.7"

func (w *world) serve(tb testing.TB) string {
	tb.Helper()
	return serve(tb, w.gateway())
}

// serve serves g for as long as the test runs and returns its address.
func serve(tb testing.TB, g *gateway.Gateway) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := http1.New(http1.Config{Handler: g})
	served := make(chan error)
	go func() { served <- s.Serve(listener{l}) }()
	tb.Cleanup(func() {
		s.Close()
		s.Wait()
		if err := <-served; !errors.Is(err, http1.ErrClosed) {
			tb.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// listener gives all connections the client's address.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn{c.(*net.TCPConn)}, nil
}

type conn struct{ *net.TCPConn }

func (conn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(client), Port: 4321} }

// serveText has a new gateway of w answer one request.
func (w *world) serveText(tb testing.TB, text string) (answer, string) {
	tb.Helper()
	return raw(tb, w.serve(tb), text)
}

// answer is what matters of a response beside its body.
type answer struct {
	StatusCode    int
	Header        http.Header
	ContentLength int64
}

// raw sends a request as it is and returns the response.
func raw(tb testing.TB, address, text string) (resp answer, body string) {
	tb.Helper()
	c, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		tb.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer{r.StatusCode, r.Header, r.ContentLength}, string(b)
}

func get(path, host string, headers ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

func post(body string, headers ...string) string {
	return fmt.Sprintf("POST /fn/default/hello/ HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", strings.Join(append(headers, ""), "\r\n"), len(body), body)
}

func TestRoutes(t *testing.T) {
	w := newWorld()
	s := w.serve(t)
	tests := []struct {
		host, path string
		rawPath    string // empty: nobody is there
	}{
		{urlID + ".localhost:8080", "/", "/"},
		{urlID + ".localhost", "/a%2Fb/ä%20//c", "/a%2Fb/ä%20//c"},
		{strings.ToUpper(urlID) + ".LOCALHOST.", "/x", "/x"},
		{urlID + ".lambda-url.us-east-1.localhost:8080", "/x?y", "/x"},
		{urlID + ".lambda-url.eu-west-1.localhost", "/x", ""},
		{urlID + ".example.com", "/x", ""},
		{"9" + urlID[1:] + ".localhost", "/x", ""},
		{"127.0.0.1:8080", "/fn/default/hello", "/"},
		{"localhost", "/fn/default/hello/", "/"},
		{"[::1]:8080", "/fn/default/hello/a%2fb?x=1", "/a%2fb"},
		{"localhost", "/fn/default/hello//a/../b", "//a/../b"},
		{"localhost", "/fn/default/other/", ""},
		{"localhost", "/fn/tenant/hello/", ""},
		{"localhost", "/fn/default", ""},
		{"localhost", "/fn//hello", ""},
		{"localhost", "/", ""},
	}
	for _, tt := range tests {
		w.last = nil
		resp, body := raw(t, s, get(tt.path, tt.host))
		if tt.rawPath == "" {
			if resp.StatusCode != http.StatusNotFound || !strings.Contains(body, `"Message":"no function has this address`) || w.last != nil {
				t.Errorf("%s%s = %d %s, want 404", tt.host, tt.path, resp.StatusCode, body)
			}
			continue
		}
		if resp.StatusCode != http.StatusOK || w.last == nil {
			t.Errorf("%s%s = %d %s", tt.host, tt.path, resp.StatusCode, body)
			continue
		}
		if got := event(t, w)["rawPath"]; got != tt.rawPath {
			t.Errorf("%s%s: rawPath = %q, want %q", tt.host, tt.path, got, tt.rawPath)
		}
		if id := resp.Header.Get("X-Amzn-RequestId"); id == "" || id != w.last.ID {
			t.Errorf("X-Amzn-RequestId = %q, the invocation's is %q", id, w.last.ID)
		}
	}
	w.fn.URL = nil
	if resp, _ := raw(t, s, get("/fn/default/hello/", "localhost")); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a function without a URL = %d, want 404", resp.StatusCode)
	}
}

func event(tb testing.TB, w *world) map[string]any {
	tb.Helper()
	var e map[string]any
	if err := json.Unmarshal(w.last.Payload, &e); err != nil {
		tb.Fatalf("event %s: %v", w.last.Payload, err)
	}
	return e
}

func TestEachKindHasAStatus(t *testing.T) {
	want := map[fault.Kind]int{
		fault.Internal: 500, fault.Invalid: 400, fault.NotFound: 404, fault.AlreadyExists: 409, fault.Conflict: 503,
		fault.Unauthenticated: 403, fault.Denied: 403, fault.Throttled: 429, fault.TooLarge: 413, fault.Timeout: 504,
		fault.Unavailable: 503, fault.Unsupported: 501,
	}
	w := newWorld()
	s := w.serve(t)
	for _, kind := range fault.Kinds() {
		w.refuse(&fault.Error{Kind: kind, Reason: "Because", Detail: "it is so", RetryAfter: 1500 * time.Millisecond})
		resp, body := raw(t, s, get("/", urlID+".localhost"))
		if resp.StatusCode != want[kind] || body != `{"Message":"it is so"}` {
			t.Errorf("%s = %d %s, want %d", kind, resp.StatusCode, body, want[kind])
		}
		if resp.Header.Get("Retry-After") != "2" || resp.Header.Get("X-Amzn-ErrorType") != "Because" {
			t.Errorf("%s: header = %v", kind, resp.Header)
		}
	}
	w.refuse(errors.New("secret inside"))
	if resp, body := raw(t, s, get("/", urlID+".localhost")); resp.StatusCode != http.StatusInternalServerError || strings.Contains(body, "secret") {
		t.Errorf("unclassified error = %d %s", resp.StatusCode, body)
	}
	w.invoke = func(context.Context, *invocation.Invocation) (*invocation.Result, error) { panic("bug") }
	if resp, _ := raw(t, s, get("/", urlID+".localhost")); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("a panic = %d", resp.StatusCode)
	}
	w.refuse(fault.New(fault.Throttled, "NodeConcurrency", "busy"))
	if resp, _ := raw(t, s, get("/", urlID+".localhost")); resp.Header.Get("Retry-After") != "1" {
		t.Errorf("throttled without a time: Retry-After = %q, want 1", resp.Header.Get("Retry-After"))
	}
}

func TestRequestsThatAreTooLarge(t *testing.T) {
	w := newWorld()
	s := w.serve(t)
	const path = "/fn/default/hello/"
	for name, tt := range map[string]struct {
		send   string
		status int
	}{
		"body of 4 MB that is not text": {post(strings.Repeat("\x00", 4_000_000)), 200},
		"body of 5 MB that is not text": {post(strings.Repeat("\x00", 5_000_000)), 413},
		"text of 6 MB":                  {post(strings.Repeat("x", 6_000_000), "Content-Type: text/plain"), 200},
		"declared":                      {"POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 7000000\r\n\r\n", 413},
		"in chunks":                     {"POST " + path + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n700000\r\n" + strings.Repeat("x", 0x700000) + "\r\n0\r\n\r\n", 413},
		"headers":                       {get(path, "x", "X-Long: "+strings.Repeat("x", 70<<10)), 431},
		"upgrade":                       {get(path, "x", "Connection: keep-alive, Upgrade", "Upgrade: websocket"), 501},
	} {
		if resp, body := raw(t, s, tt.send); resp.StatusCode != tt.status {
			t.Errorf("%s = %d %s, want %d", name, resp.StatusCode, body, tt.status)
		}
	}
}

func TestClientThatGoesEndsTheInvocation(t *testing.T) {
	w := newWorld()
	entered, ended := make(chan struct{}), make(chan error, 1)
	w.invoke = func(ctx context.Context, _ *invocation.Invocation) (*invocation.Result, error) {
		close(entered)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	s := w.serve(t)
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, post("body"))
	<-entered
	c.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("context ended with %v", err)
	}
}

func TestSignedRequests(t *testing.T) {
	w := newWorld()
	w.fn.URL.AuthType = "AWS_IAM"
	s := w.serve(t)
	const path = "/fn/default/hello/"
	tests := []struct {
		name, send string
		status     int
	}{
		{"anonymous", get(path, "x"), 403},
		{"bad", get(path, "x", "Authorization: bad"), 403},
		{"another body", post("forged", "Authorization: good default"), 403},
		{"another namespace", get(path, "x", "Authorization: good tenant"), 403},
		{"good", get(path, "x", "Authorization: good default"), 200},
	}
	for _, tt := range tests {
		w.last = nil
		resp, body := raw(t, s, tt.send)
		if resp.StatusCode != tt.status || (w.last != nil) != (tt.status == 200) {
			t.Errorf("%s = %d %s, want %d", tt.name, resp.StatusCode, body, tt.status)
		}
	}
	iam := event(t, w)["requestContext"].(map[string]any)["authorizer"].(map[string]any)["iam"].(map[string]any)
	if iam["accessKey"] != "MAYFLY1" || iam["userArn"] != "arn:aws:iam::000000000000:user/ann" {
		t.Errorf("authorizer = %v", iam)
	}
	w.fn.URL.AuthType = "JWT"
	if resp, _ := raw(t, s, get(path, "x")); resp.StatusCode != http.StatusForbidden {
		t.Errorf("unknown authorization type = %d, want 403", resp.StatusCode)
	}
}

func TestCORS(t *testing.T) {
	w := newWorld()
	w.answer(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"https://function.says"}}`)
	s := w.serve(t)
	preflight := func(origin string) string {
		return "OPTIONS /fn/default/hello/ HTTP/1.1\r\nHost: x\r\nOrigin: " + origin + "\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-a\r\n\r\n"
	}
	simple := func(origin string) string { return get("/fn/default/hello/", "x", "Origin: "+origin) }
	listed := &function.CORS{AllowOrigins: []string{"https://a.test"}, AllowMethods: []string{"GET", "PUT"}, AllowHeaders: []string{"x-a", "x-b"}, ExposeHeaders: []string{"x-c"}, MaxAgeSeconds: 60}
	open := &function.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}}
	credentials := &function.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}, AllowCredentials: true}
	tests := []struct {
		name    string
		cors    *function.CORS
		send    string
		invoked bool
		want    string // origin|methods|headers|age|credentials|exposed
	}{
		{"no policy, preflight", nil, preflight("https://a.test"), true, "https://function.says|||||"},
		{"listed, preflight", listed, preflight("https://a.test"), false, "https://a.test|GET,PUT|x-a,x-b|60||x-c"},
		{"listed, other origin", listed, preflight("https://b.test"), false, "|||||"},
		{"listed", listed, simple("https://a.test"), true, "https://a.test|||||x-c"},
		{"listed, simple of other origin", listed, simple("https://b.test"), true, "|||||"},
		{"open, preflight", open, preflight("https://a.test"), false, "*|*|*|||"},
		{"open", open, simple("https://a.test"), true, "*|||||"},
		{"credentials, preflight", credentials, preflight("https://a.test"), false, "https://a.test|PUT|x-a||true|"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.fn.URL.CORS, w.last = tt.cors, nil
			resp, _ := raw(t, s, tt.send)
			var got []string
			for _, name := range []string{"Allow-Origin", "Allow-Methods", "Allow-Headers", "Max-Age", "Allow-Credentials", "Expose-Headers"} {
				got = append(got, strings.Join(resp.Header.Values("Access-Control-"+name), ";"))
			}
			if resp.StatusCode != http.StatusOK || strings.Join(got, "|") != tt.want || (w.last != nil) != tt.invoked {
				t.Errorf("got %d %s, invoked: %t; want %s, %t", resp.StatusCode, strings.Join(got, "|"), w.last != nil, tt.want, tt.invoked)
			}
		})
	}
}

func TestClientThatClosesItsHalfEarlyIsAnswered(t *testing.T) {
	w := newWorld()
	s := w.serve(t)
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST /fn/default/hello/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || w.last != nil {
		t.Errorf("got %d, invoked: %t; want 400 and no call", resp.StatusCode, w.last != nil)
	}
}
