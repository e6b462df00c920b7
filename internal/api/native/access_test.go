package native_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

// answer is an HTTP answer that is read already.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// raw sends a request without the client.
func (b *bench) raw(t *testing.T, method, path, token, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := b.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, content}
}

func TestErrorsAreProblems(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	const hello = "/v1/namespaces/default/functions/hello"
	for _, c := range []struct {
		name, method, path, token, body string
		status                          int
		kind, reason                    string
	}{
		{"no token", "GET", "/v1/node", "", "", 401, "unauthenticated", "TokenMissing"},
		{"unknown token", "GET", "/v1/node", "mf_x", "", 401, "unauthenticated", "TokenUnknown"},
		{"another namespace", "GET", hello, "mf_other", "", 403, "denied", "NamespaceDenied"},
		{"no such path", "GET", "/v1/nodes", token, "", 404, "notFound", "PathNotFound"},
		{"no such method", "POST", hello, token, "{}", 405, "invalid", "MethodNotAllowed"},
		{"no such function", "GET", "/v1/namespaces/default/functions/no", token, "", 404, "notFound", "FunctionNotFound"},
		{"no such parameter", "GET", hello + "?x=1", token, "", 400, "invalid", "InvalidRequest"},
		{"bad parameter", "GET", "/v1/namespaces/default/functions?limit=x", token, "", 400, "invalid", "InvalidRequest"},
		{"not JSON", "PUT", hello, token, "{", 400, "invalid", "InvalidRequest"},
		{"no body", "PUT", hello, token, "", 400, "invalid", "InvalidRequest"},
		{"unknown field", "PUT", hello, token, `{"settings":{"runtime":"nodejs22.x","memory":1}}`, 400, "invalid", "InvalidRequest"},
		{"huge body", "PUT", hello, token, `{"x":"` + strings.Repeat("x", 300<<10) + `"}`, 413, "tooLarge", "RequestTooLarge"},
		{"stream limit of 0", "GET", hello + "/logs?limit=0", token, "", 400, "invalid", "InvalidRequest"},
		{"foreign cursor", "GET", hello + "/logs?after=Zjp4", token, "", 400, "invalid", "Cursor"},
		{"damaged cursor", "GET", hello + "/logs?after=bDp4", token, "", 400, "invalid", "Cursor"},
		{"no such invocation", "GET", "/v1/invocations/x", token, "", 404, "notFound", "InvocationNotFound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := b.raw(t, c.method, c.path, c.token, c.body)
			if got, want := resp.header.Get("Content-Type"), wire.ProblemType; got != want {
				t.Errorf("content type: got %s, want %s", got, want)
			}
			var p wire.Problem
			if err := json.Unmarshal(resp.body, &p); err != nil {
				t.Fatal(err)
			}
			got := []any{resp.status, p.Status, p.Kind, p.Reason}
			if diff := cmp.Diff([]any{c.status, c.status, c.kind, c.reason}, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", p.Detail, diff)
			}
			if p.Detail == "" || p.RequestID == "" || p.RequestID != resp.header.Get(wire.HeaderRequestID) {
				t.Errorf("got %+v, want a detail and the id of the header %q", p, resp.header.Get(wire.HeaderRequestID))
			}
		})
	}
}

func TestWrongMethodNamesTheRightOnes(t *testing.T) {
	b := newBench(t)
	resp := b.raw(t, http.MethodDelete, "/v1/code", token, "")
	if diff := cmp.Diff([]string{"POST"}, resp.header.Values("Allow")); diff != "" {
		t.Errorf("Allow (-want +got):\n%s", diff)
	}
}

func TestInternalFailureSaysNothingOfTheInside(t *testing.T) {
	b := newBench(t)
	b.functions.next = io.ErrNoProgress
	resp := b.raw(t, http.MethodPost, "/v1/code", token, "{}")
	if resp.status != http.StatusInternalServerError || strings.Contains(string(resp.body), io.ErrNoProgress.Error()) {
		t.Errorf("got %d: %s", resp.status, resp.body)
	}
	b.functions.next = io.ErrNoProgress
	if _, err := b.client.PutCode(t.Context(), strings.NewReader("x"), 1); !fault.Is(err, fault.Internal, "Internal") || !strings.Contains(err.Error(), "request id") {
		t.Errorf("client: got %v, want Internal with the request id", err)
	}
}

// TestRequestsCutOffHalfWay leaves no upload slot taken.
func TestRequestsCutOffHalfWay(t *testing.T) {
	b := newBench(t)
	for range 10 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(conn, "POST /v1/code HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\nContent-Length: 100\r\n\r\nhalf")
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(answer), "RequestIncomplete") {
			t.Fatalf("got %q, %v, want RequestIncomplete", answer, err)
		}
		conn.Close()
	}
	if _, err := b.client.PutCode(t.Context(), strings.NewReader("x"), 1); err != nil {
		t.Errorf("after that: %v", err)
	}
}
