package lambda_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
)

const apiPath = "/2018-06-01/runtime/"

// wire is one raw connection of a runtime.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func dial(tb testing.TB, p *pretend) *wire {
	tb.Helper()
	c, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", p.api())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &wire{Conn: c, r: bufio.NewReader(c)}
}

// reply is what matters of an answer beside its body.
type reply struct {
	StatusCode int
	Header     http.Header
}

func (w *wire) send(tb testing.TB, text string) {
	tb.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		tb.Fatal(err)
	}
}

func (w *wire) receive(tb testing.TB) (*reply, string) {
	tb.Helper()
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		tb.Fatalf("read response: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("read body: %v", err)
	}
	return &reply{resp.StatusCode, resp.Header}, string(body)
}

func request(method, path, body string, headers ...string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s",
		method, path, strings.Join(append(headers, ""), "\r\n"), len(body), body)
}

// ask sends a request on a connection of its own and returns status and error type.
func ask(tb testing.TB, p *pretend, method, path, body string, headers ...string) (status int, errorType string) {
	tb.Helper()
	w := dial(tb, p)
	w.send(tb, request(method, path, body, headers...))
	resp, text := w.receive(tb)
	if resp.Header.Get("Content-Type") == "application/json" {
		var e struct{ ErrorType, Status string }
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			tb.Errorf("%s %s: body %q: %v", method, path, text, err)
		}
		errorType = e.ErrorType + e.Status
	}
	return resp.StatusCode, errorType
}

type outcome struct {
	res *invocation.Result
	err error
}

// begin invokes in the background.
func begin(tb testing.TB, s runtimeapi.Session, inv *invocation.Invocation) <-chan outcome {
	tb.Helper()
	done := make(chan outcome, 1)
	go func() {
		res, err := s.Invoke(context.WithoutCancel(tb.Context()), inv)
		done <- outcome{res, err}
	}()
	return done
}

// started has the runtime fetch an invocation and returns its connection.
func started(tb testing.TB, s runtimeapi.Session, p *pretend, id string) (*wire, <-chan outcome) {
	tb.Helper()
	w := dial(tb, p)
	w.send(tb, request("GET", apiPath+"invocation/next", ""))
	done := begin(tb, s, call(id, `{"n":1}`))
	if resp, _ := w.receive(tb); resp.Header.Get("Lambda-Runtime-Aws-Request-Id") != id {
		tb.Fatalf("next gave %q", resp.Header)
	}
	return w, done
}

func TestNextHeaders(t *testing.T) {
	s, p, _ := play(t)
	w := dial(t, p)
	w.send(t, request("GET", apiPath+"invocation/next", ""))
	ready(t, s)
	inv := call("id-1", "payload \x00\xff")
	inv.CognitoIdentity = []byte(`{"cognitoIdentityId":"i"}`)
	done := begin(t, s, inv)
	resp, body := w.receive(t)
	if resp.StatusCode != http.StatusOK || body != "payload \x00\xff" {
		t.Errorf("next = %d %q", resp.StatusCode, body)
	}
	want := map[string]string{
		"Content-Type": "application/json", "Lambda-Runtime-Aws-Request-Id": "id-1",
		"Lambda-Runtime-Deadline-Ms": "4102444800123", "Lambda-Runtime-Trace-Id": "Root=1-2-3;Sampled=0",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
		"Lambda-Runtime-Cognito-Identity":     `{"cognitoIdentityId":"i"}`,
	}
	for name, value := range want {
		if got := resp.Header.Get(name); got != value {
			t.Errorf("%s = %q, want %q", name, got, value)
		}
	}
	if _, ok := resp.Header["Lambda-Runtime-Client-Context"]; ok {
		t.Error("an empty client context has a header")
	}
	// Answer and next question in one write, as our lean clients do.
	w.send(t, request("POST", apiPath+"invocation/id-1/response", "answer")+request("GET", apiPath+"invocation/next", ""))
	if resp, body := w.receive(t); resp.StatusCode != http.StatusAccepted || strings.TrimSpace(body) != `{"status":"OK"}` {
		t.Errorf("response = %d %q", resp.StatusCode, body)
	}
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	wantResult(t, o.res, "answer", "")
}

func TestPollThatClosesItsConnection(t *testing.T) {
	s, p, _ := play(t)
	w := dial(t, p)
	w.send(t, request("GET", apiPath+"invocation/next", "", "Connection: close"))
	ready(t, s)
	done := begin(t, s, call("a-1", "{}"))
	if resp, body := w.receive(t); resp.Header.Get("Lambda-Runtime-Aws-Request-Id") != "a-1" || body != "{}" {
		t.Errorf("next = %d %v %s", resp.StatusCode, resp.Header, body)
	}
	if _, err := w.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the answer: %v, want the end", err)
	}
	ask(t, p, "POST", apiPath+"invocation/a-1/response", "fine")
	o := <-done
	wantResult(t, o.res, "fine", "")
}

func TestRefusedRequests(t *testing.T) {
	const next, initError = apiPath + "invocation/next", apiPath + "init/error"
	answer := func(id string) string { return apiPath + "invocation/" + id + "/response" }
	type step struct {
		method, path string
		status       int
		errorType    string
	}
	unknown := []step{
		{"GET", "/", 404, "NotFound"},
		{"GET", "/2020-01-01/extension/event/next", 404, "NotFound"},
		{"GET", apiPath + "invocation/x/other", 404, "NotFound"},
		{"POST", next, 405, "MethodNotAllowed"},
		{"GET", answer("r-1"), 405, "MethodNotAllowed"},
		{"GET", "/2018-06-01/ping", 200, ""},
	}
	tests := map[string]struct {
		arrange func(t *testing.T, s runtimeapi.Session, p *pretend)
		steps   []step
	}{
		"starting": {func(*testing.T, runtimeapi.Session, *pretend) {}, append(unknown,
			step{"POST", answer("r-1"), 400, "InvalidRequestID"})},
		"waiting": {func(t *testing.T, s runtimeapi.Session, p *pretend) {
			t.Helper()
			dial(t, p).send(t, request("GET", next, ""))
			ready(t, s)
		}, append(unknown,
			step{"GET", next, 403, "InvalidStateTransition"},
			step{"POST", initError, 403, "InvalidStateTransition"},
			step{"POST", answer("r-1"), 400, "InvalidRequestID"})},
		"running": {func(t *testing.T, s runtimeapi.Session, p *pretend) {
			t.Helper()
			started(t, s, p, "r-1")
		}, append(unknown,
			step{"GET", next, 403, "InvalidStateTransition"},
			step{"POST", initError, 403, "InvalidStateTransition"},
			step{"POST", answer("r-2"), 400, "InvalidRequestID"})},
		"answered": {func(t *testing.T, s runtimeapi.Session, p *pretend) {
			t.Helper()
			_, done := started(t, s, p, "r-1")
			ask(t, p, "POST", answer("r-1"), "")
			<-done
		}, append(unknown,
			step{"POST", answer("r-1"), 403, "InvalidStateTransition"},
			step{"POST", answer("r-0"), 400, "InvalidRequestID"},
			step{"POST", initError, 403, "InvalidStateTransition"})},
		"init failed": {func(t *testing.T, _ runtimeapi.Session, p *pretend) {
			t.Helper()
			ask(t, p, "POST", initError, "{}")
		}, append(unknown,
			step{"GET", next, 403, "InvalidStateTransition"},
			step{"POST", initError, 403, "InvalidStateTransition"},
			step{"POST", answer("r-1"), 400, "InvalidRequestID"})},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, p, _ := play(t)
			tt.arrange(t, s, p)
			for _, st := range tt.steps {
				if status, errorType := ask(t, p, st.method, st.path, ""); status != st.status || errorType != st.errorType {
					t.Errorf("%s %s = %d %s, want %d %s", st.method, st.path, status, errorType, st.status, st.errorType)
				}
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	chunked := func(body string, headers ...string) string {
		head := "POST " + apiPath + "invocation/a-1/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
		return head + strings.Join(append(headers, ""), "\r\n") + "\r\n" + body
	}
	const declared = "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
	const httpType = "application/vnd.awslambda.http-integration-response"
	large := fmt.Sprintf(`{"errorMessage":"%s","errorType":"Late"}`, strings.Repeat("m", 20<<10))
	tooLarge := `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`
	respond, fail := apiPath+"invocation/a-1/response", apiPath+"invocation/a-1/error"
	tests := []struct {
		name, send         string
		status             int
		payload, errorType string
		contentType        string
	}{
		{"empty", request("POST", respond, ""), 202, "", "", "application/json"},
		{"form, as curl says", request("POST", respond, "x", "Content-Type: application/x-www-form-urlencoded"), 202, "x", "", "application/json"},
		{"chunks", chunked("3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n"), 202, "abcde", "", "application/json"},
		{"stream", chunked("3\r\nabc\r\n0\r\n\r\n", "Lambda-Runtime-Function-Response-Mode: streaming"), 202, "abc", "", "application/octet-stream"},
		{"stream with type", chunked("3\r\nabc\r\n0\r\n\r\n", "Lambda-Runtime-Function-Response-Mode: Streaming", "Content-Type: text/x"), 202, "abc", "", "text/x"},
		{"HTTP prelude", chunked("3\r\nabc\r\n0\r\n\r\n", "Content-Type: "+httpType), 202, "abc", "", httpType},
		{"unused trailers", chunked("3\r\nabc\r\n0\r\n\r\n", declared), 202, "abc", "", "application/json"},
		{"error in trailers", chunked("3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: Function.Late\r\nLambda-Runtime-Function-Error-Body: "+
			base64.StdEncoding.EncodeToString([]byte(large))+"\r\n\r\n", declared), 202, large, "Function.Late", "application/json"},
		{
			"odd error in trailers", chunked("0\r\nLambda-Runtime-Function-Error-Type: odd\r\nLambda-Runtime-Function-Error-Body: !\r\n\r\n", declared),
			202, `{"errorMessage":"the runtime reported an error without a message","errorType":"Function.Unknown"}`, "Function.Unknown", "application/json",
		},
		{"unknown mode", request("POST", respond, "abc", "Lambda-Runtime-Function-Response-Mode: buffered"), 400, "", "Runtime.InvalidResponseModeHeader", "application/json"},
		{"too large", request("POST", respond, strings.Repeat("z", invocation.MaxResponseBytes+1)), 413, tooLarge, "Function.ResponseSizeTooLarge", "application/json"},
		{"too large, uninvited", "POST " + respond + " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99000000\r\n\r\n", 413, tooLarge, "Function.ResponseSizeTooLarge", "application/json"},
		{
			"too large in chunks", chunked("600000\r\n" + strings.Repeat("z", 0x600000) + "\r\n65\r\n" + strings.Repeat("z", 0x65) + "\r\n0\r\n\r\n"),
			413, tooLarge, "Function.ResponseSizeTooLarge", "application/json",
		},
		{"malformed chunk", chunked("zz\r\nabc"), 400, "", "Runtime.TruncatedResponse", "application/json"},
		{"error", request("POST", fail, `{"a":1}`, "Lambda-Runtime-Function-Error-Type: Runtime.Mine"), 202, `{"a":1}`, "Runtime.Mine", "application/json"},
		{"error of unknown type", request("POST", fail, `{"a":1}`, "Lambda-Runtime-Function-Error-Type: TypeError"), 202, `{"a":1}`, "Function.Unknown", "application/json"},
		{"error with cause", request("POST", fail, `{"errorMessage":"m","errorType":"T","stackTrace":["s"],"errorCause":{"x":1}}`,
			"Content-Type: application/vnd.aws.lambda.error.cause+json"), 202, `{"errorMessage":"m","errorType":"T","stackTrace":["s"]}`, "Function.Unknown", "application/json"},
		{"error too large", request("POST", fail, strings.Repeat("z", invocation.MaxResponseBytes+1)), 413, tooLarge, "Function.ResponseSizeTooLarge", "application/json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, p, _ := play(t)
			w, done := started(t, s, p, "a-1")
			w.send(t, tt.send)
			if resp, body := w.receive(t); resp.StatusCode != tt.status {
				t.Errorf("status = %d %s, want %d", resp.StatusCode, body, tt.status)
			}
			o := <-done
			if o.err != nil {
				t.Fatal(o.err)
			}
			wantResult(t, o.res, tt.payload, tt.errorType)
			if o.res.ContentType != tt.contentType {
				t.Errorf("content type = %q, want %q", o.res.ContentType, tt.contentType)
			}
		})
	}
}

func TestExpectedBodyIsInvited(t *testing.T) {
	s, p, _ := play(t)
	w, done := started(t, s, p, "a-1")
	w.send(t, "POST "+apiPath+"invocation/a-1/response HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	if line, _ := w.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("first line = %q", line)
	}
	if _, err := w.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	w.send(t, "abc")
	w.receive(t)
	o := <-done
	wantResult(t, o.res, "abc", "")
}

func TestAnswerThatBreaksOff(t *testing.T) {
	s, p, _ := play(t)
	w, done := started(t, s, p, "a-1")
	w.send(t, "POST "+apiPath+"invocation/a-1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
	if status, errorType := ask(t, p, "POST", apiPath+"invocation/a-0/response", ""); status != 400 {
		t.Errorf("answer to another invocation = %d %s, want 400", status, errorType)
	}
	w.Close()
	o := <-done
	wantResult(t, o.res, "", "Runtime.TruncatedResponse")
	// The runtime lives and may go on.
	_, done = started(t, s, p, "a-2")
	ask(t, p, "POST", apiPath+"invocation/a-2/response", "fine")
	o = <-done
	wantResult(t, o.res, "fine", "")
}

func TestPollThatIsGivenUp(t *testing.T) {
	s, p, _ := play(t)
	for range 20 {
		w := dial(t, p)
		w.send(t, request("GET", apiPath+"invocation/next", ""))
		ready(t, s)
		w.Close()
	}
	w, done := started(t, s, p, "a-1")
	w.send(t, request("POST", apiPath+"invocation/a-1/response", "fine"))
	o := <-done
	wantResult(t, o.res, "fine", "")
}

func TestInitErrors(t *testing.T) {
	tests := []struct{ name, header, body, wantType, wantPayload string }{
		{"with type", "Runtime.NoSuchModule", `{"errorMessage":"m"}`, "Runtime.NoSuchModule", `{"errorMessage":"m"}`},
		{"without", "", "", "Runtime.Unknown", `{"errorMessage":"the runtime reported an error without a message","errorType":"Runtime.Unknown"}`},
		{"not JSON", "x", "oh", "Runtime.Unknown", `{"errorMessage":"oh","errorType":"Runtime.Unknown"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, p, _ := play(t)
			ask(t, p, "POST", apiPath+"init/error", tt.body, "Lambda-Runtime-Function-Error-Type: "+tt.header)
			p.die(sandbox.Exit{Code: 1}) // what was reported wins over the exit that follows
			ie, ok := errors.AsType[*runtimeapi.InitError](s.Ready(t.Context()))
			if !ok || ie.Type != tt.wantType || string(ie.Payload) != tt.wantPayload {
				t.Errorf("ready = %v, want %s %s", ie, tt.wantType, tt.wantPayload)
			}
		})
	}
}

func TestForeignInputIsBounded(t *testing.T) {
	_, p, _ := play(t)
	for name, tt := range map[string]struct {
		send   string
		status int
	}{
		"endless header": {"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 200<<10), 431},
		"not HTTP":       {"hello\r\n\r\n", 400},
		"old HTTP":       {"GET /2018-06-01/ping HTTP/1.0\r\n\r\n", 200},
	} {
		w := dial(t, p)
		w.send(t, tt.send)
		if resp, _ := w.receive(t); resp.StatusCode != tt.status {
			t.Errorf("%s = %d, want %d", name, resp.StatusCode, tt.status)
		}
		if _, err := w.r.ReadByte(); err == nil {
			t.Errorf("%s: the connection is still open", name)
		}
	}
	var refused bool
	for range 200 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.api())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, request("GET", "/2018-06-01/ping", ""))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			refused = true
			break
		}
	}
	if !refused {
		t.Error("200 connections are open")
	}
}

func TestOutputBeforeTheAnswerComesFirst(t *testing.T) {
	s, p, out := play(t)
	for range 50 {
		w, done := started(t, s, p, "a-1")
		_, _ = io.WriteString(p.out, "one\n\ntwo")
		w.send(t, request("POST", apiPath+"invocation/a-1/response", ""))
		<-done
		if got := strings.Join(out.take(), "|"); got != "stdout: one|stdout: |stdout: two" {
			t.Fatalf("output = %q", got)
		}
		w.Close()
	}
	_, _ = io.WriteString(p.out, strings.Repeat("x", 300<<10)+"\n")
	w, done := started(t, s, p, "a-1")
	w.send(t, request("POST", apiPath+"invocation/a-1/response", ""))
	<-done
	if got := out.take(); len(got) != 2 || len(got[0]) != len("stdout: ")+256<<10 || len(got[1]) != len("stdout: ")+44<<10 {
		t.Errorf("a line of 300 KiB came in %d parts", len(got))
	}
}

func TestSecondInvocationIsRefused(t *testing.T) {
	s, p, _ := play(t)
	w, done := started(t, s, p, "a-1")
	if _, err := s.Invoke(t.Context(), call("a-2", "")); err == nil {
		t.Error("a second invocation was accepted")
	}
	w.send(t, request("POST", apiPath+"invocation/a-1/response", ""))
	<-done
}

func TestCloseEndsAnInvocation(t *testing.T) {
	s, p, _ := play(t)
	_, done := started(t, s, p, "a-1")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if o := <-done; o.err == nil {
		t.Errorf("invoke = %v, want an error", o.res)
	}
}

// FuzzConnection feeds a session what a hostile runtime may send.
func FuzzConnection(f *testing.F) {
	f.Add([]byte(request("GET", apiPath+"invocation/next", "")))
	f.Add([]byte(request("POST", apiPath+"invocation/a-1/response", "abc", "Expect: 100-continue")))
	f.Add([]byte("POST " + apiPath + "invocation/a-1/error HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n"))
	f.Add([]byte(request("POST", apiPath+"init/error", "{") + "GET / HTTP/1.0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		s, p, _ := play(t)
		done := begin(t, s, call("a-1", "{}"))
		w := dial(t, p)
		_, _ = w.Write(sent)
		_ = w.Conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, w.r)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if o := <-done; o.err == nil && o.res == nil {
			t.Error("invoke returned neither a result nor an error")
		}
	})
}
