package http1_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/gateway/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handler answers with a function.
type handler func(ctx context.Context, x *http1.Exchange)

func (h handler) Serve(ctx context.Context, x *http1.Exchange) { h(ctx, x) }

// echo answers with what it was asked: the first line, then the body.
func echo(_ context.Context, x *http1.Exchange) {
	b, err := x.ReadBody(fmt.Sprintf("%s %s\n", x.Method, x.Target), 1<<20, 0)
	switch {
	case errors.Is(err, http1.ErrBodyTooLarge):
		x.Begin(http.StatusRequestEntityTooLarge)
	case err != nil:
		x.Begin(http.StatusBadRequest)
	default:
		x.Begin(http.StatusOK)
	}
	x.End(b)
}

// start serves until the test ends and returns the address.
func start(tb testing.TB, cfg http1.Config) (string, *http1.Server) {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := http1.New(cfg)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	tb.Cleanup(func() {
		s.Close()
		s.Wait()
		if err := <-served; !errors.Is(err, http1.ErrClosed) {
			tb.Errorf("serve: %v", err)
		}
		if n := s.Connections(); n != 0 {
			tb.Errorf("%d connections are left", n)
		}
	})
	return l.Addr().String(), s
}

// client is a connection and what came over it.
type client struct {
	net.Conn
	tb testing.TB
	r  *bufio.Reader
}

func dial(tb testing.TB, address string) *client {
	tb.Helper()
	c, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return &client{c, tb, bufio.NewReader(c)}
}

func (c *client) send(text string) {
	c.tb.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.tb.Fatalf("send: %v", err)
	}
}

// response is a response that was read to its end.
type response struct {
	status int
	header http.Header
	body   string
	close  bool
}

// receive reads the response to a request with a method.
func (c *client) receive(method string) response {
	c.tb.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.tb.Fatalf("receive: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.tb.Fatalf("receive body: %v", err)
	}
	return response{resp.StatusCode, resp.Header, string(body), resp.Close}
}

// closed reports whether the server has closed the connection.
func (c *client) closed() bool {
	_, err := c.r.ReadByte()
	return err != nil
}

func TestRequestsOfOneConnection(t *testing.T) {
	tests := []struct {
		name, send string
		want       []string // status, then body; the last closes if it ends with "|close"
	}{
		{"keep-alive", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", []string{"200 GET /a\n"}},
		{
			"pipelined",
			"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nabGET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n",
			[]string{"200 POST /a\nab", "200 GET /b\n", "200 GET /c\n"},
		},
		{"an empty line before", "\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", []string{"200 GET /a\n"}},
		{
			"chunks and trailers",
			"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n00A ;ext=\"1\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\nContent-Length: 5\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
			[]string{"200 PUT /a\nab0123456789", "200 GET /b\n"},
		},
		{"absolute", "GET http://y.z:1/a?b HTTP/1.1\r\nHost: x\r\n\r\n", []string{"200 GET http://y.z:1/a?b\n"}},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", []string{"200 "}},
		{"close", "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n", []string{"200 GET /a\n|close"}},
		{"HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", []string{"200 GET /a\n|close"}},
		{
			"HTTP/1.0 that stays", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
			[]string{"200 GET /a\n", "200 GET /b\n|close"},
		},
		{
			"too large", "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n",
			[]string{"413 |close"},
		},
		{
			"too large in chunks", "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n100000\r\n",
			[]string{"413 |close"},
		},
	}
	address, _ := start(t, http1.Config{Handler: handler(echo)})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, address)
			c.send(tt.send)
			for _, want := range tt.want {
				want, last := strings.CutSuffix(want, "|close")
				got := c.receive("GET")
				if text := fmt.Sprintf("%d %s", got.status, got.body); text != want || got.close != last {
					t.Errorf("got %q, close: %t; want %q, close: %t", text, got.close, want, last)
				}
				if got.header.Get("Date") == "" {
					t.Error("the response has no Date")
				}
				if last && !c.closed() {
					t.Error("the connection was not closed")
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	const host = "Host: x\r\n"
	many := strings.Repeat("A: b\r\n", 257)
	tests := []struct {
		name, send string
		status     int
		reason     string
	}{
		{"both lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "MalformedRequest"},
		{"two lengths that agree", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "MalformedRequest"},
		{"a list of lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1, 1\r\n\r\n", 400, "MalformedRequest"},
		{"signed length", "POST / HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\n", 400, "MalformedRequest"},
		{"hexadecimal length", "POST / HTTP/1.1\r\n" + host + "Content-Length: 0x1\r\n\r\n", 400, "MalformedRequest"},
		{"empty length", "POST / HTTP/1.1\r\n" + host + "Content-Length:\r\n\r\n", 400, "MalformedRequest"},
		{"huge length", "POST / HTTP/1.1\r\n" + host + "Content-Length: 9999999999999999999\r\n\r\n", 400, "MalformedRequest"},
		{"another encoding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "UnsupportedEncoding"},
		{"encoding with a vertical tab", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \vchunked\r\n\r\n", 400, "MalformedRequest"},
		{"two encodings", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "MalformedRequest"},
		{"encoding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "MalformedRequest"},
		{"blank before the colon", "POST / HTTP/1.1\r\n" + host + "Content-Length : 1\r\n\r\n", 400, "MalformedRequest"},
		{"folded line", "GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", 400, "MalformedRequest"},
		{"line without colon", "GET / HTTP/1.1\r\n" + host + "abc\r\n\r\n", 400, "MalformedRequest"},
		{"line without name", "GET / HTTP/1.1\r\n" + host + ": b\r\n\r\n", 400, "MalformedRequest"},
		{"bare line feed", "GET / HTTP/1.1\nHost: x\n\n", 400, "MalformedRequest"},
		{"bare line feed in a value", "GET / HTTP/1.1\r\n" + host + "A: b\nContent-Length: 1\r\n\r\n", 400, "MalformedRequest"},
		{"bare carriage return", "GET / HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n", 400, "MalformedRequest"},
		{"nul", "GET / HTTP/1.1\r\n" + host + "A: b\x00c\r\n\r\n", 400, "MalformedRequest"},
		{"control character in the target", "GET /\x7f HTTP/1.1\r\n" + host + "\r\n", 400, "MalformedRequest"},
		{"half an escape", "GET /%4 HTTP/1.1\r\n" + host + "\r\n", 400, "MalformedRequest"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, "MalformedRequest"},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400, "MalformedRequest"},
		{"bad host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "MalformedRequest"},
		{"user in the target", "GET http://a@b/ HTTP/1.1\r\n" + host + "\r\n", 400, "MalformedRequest"},
		{"another scheme", "GET ftp://b/ HTTP/1.1\r\n" + host + "\r\n", 400, "MalformedRequest"},
		{"no slash", "GET a HTTP/1.1\r\n" + host + "\r\n", 400, "MalformedRequest"},
		{"two blanks", "GET  / HTTP/1.1\r\n" + host + "\r\n", 400, "MalformedRequest"},
		{"blank behind the version", "GET / HTTP/1.1 \r\n" + host + "\r\n", 400, "MalformedRequest"},
		{"HTTP/0.9", "GET /\r\n\r\n", 400, "MalformedRequest"},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01", 400, "MalformedRequest"},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "UnsupportedVersion"},
		{"CONNECT", "CONNECT x:80 HTTP/1.1\r\n" + host + "\r\n", 501, "ConnectUnsupported"},
		{"another expectation", "POST / HTTP/1.1\r\n" + host + "Expect: 200-ok\r\n\r\n", 417, "Expectation"},
		{"long first line", "GET /" + strings.Repeat("a", 40<<10) + " HTTP/1.1\r\n" + host + "\r\n", 414, "TargetTooLong"},
		{"long first line without end", "GET /" + strings.Repeat("a", 40<<10), 414, "TargetTooLong"},
		{"long line", "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", 431, "HeadersTooLarge"},
		{"much in many lines", "GET / HTTP/1.1\r\n" + host + strings.Repeat("A: "+strings.Repeat("a", 1<<10)+"\r\n", 70) + "\r\n", 431, "HeadersTooLarge"},
		{"many lines", "GET / HTTP/1.1\r\n" + host + many + "\r\n", 431, "HeadersTooLarge"},
	}
	address, _ := start(t, http1.Config{Handler: handler(func(context.Context, *http1.Exchange) { t.Error("the handler was called") })})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, address)
			c.send(tt.send)
			got := c.receive("GET")
			if got.status != tt.status || got.header.Get("X-Amzn-Errortype") != tt.reason || !strings.HasPrefix(got.body, `{"Message":"`) || !got.close {
				t.Errorf("got %d %v %s, close: %t; want %d %s and a close", got.status, got.header, got.body, got.close, tt.status, tt.reason)
			}
			if !c.closed() {
				t.Error("the connection was not closed")
			}
		})
	}
}

func TestMalformedBodies(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, send := range map[string]string{
		"no size":                      head + "\r\n",
		"sign":                         head + "+1\r\na\r\n0\r\n\r\n",
		"prefix":                       head + "0x1\r\na\r\n0\r\n\r\n",
		"blank before the size":        head + " 1\r\na\r\n0\r\n\r\n",
		"blank behind the size":        head + "1 \r\na\r\n0\r\n\r\n",
		"long size":                    head + "000000001\r\na\r\n0\r\n\r\n",
		"long extension":               head + "1;" + strings.Repeat("a", 300) + "\r\na\r\n0\r\n\r\n",
		"bare line feed":               head + "1\na\r\n0\r\n\r\n",
		"bare line feed in extension":  head + "1;a\nb\r\na\r\n0\r\n\r\n",
		"control character":            head + "1;\x00\r\na\r\n0\r\n\r\n",
		"more than the size":           head + "1\r\nab\r\n0\r\n\r\n",
		"line feed alone behind chunk": head + "1\r\na\n0\r\n\r\n",
		"folded trailer":               head + "0\r\nA: b\r\n c\r\n\r\n",
		"large trailers":               head + "0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 10) + "\r\n",
		"thin chunks":                  head + strings.Repeat("1\r\na\r\n", 1200) + "0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := start(t, http1.Config{Handler: handler(echo)})
			c := dial(t, address)
			c.send(send)
			if got := c.receive("POST"); got.status != http.StatusBadRequest || !got.close || !c.closed() {
				t.Errorf("got %d %q, close: %t; want 400 and a close", got.status, got.body, got.close)
			}
		})
	}
}

func TestExpectContinue(t *testing.T) {
	address, _ := start(t, http1.Config{Handler: handler(func(ctx context.Context, x *http1.Exchange) {
		if string(x.Path) == "/no" {
			x.Begin(http.StatusForbidden)
			x.End(nil)
			return
		}
		echo(ctx, x)
	})})
	c := dial(t, address)
	c.send("POST /yes HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
	if got := c.receive("POST"); got.status != http.StatusContinue {
		t.Fatalf("got %d, want 100", got.status)
	}
	c.send("ab")
	if got := c.receive("POST"); got.body != "POST /yes\nab" || got.close {
		t.Errorf("got %+v", got)
	}
	c.send("POST /sent HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab")
	if got := c.receive("POST"); got.status != http.StatusOK || got.body != "POST /sent\nab" {
		t.Errorf("a body that did not wait: %+v", got)
	}
	c.send("POST /no HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	if got := c.receive("POST"); got.status != http.StatusForbidden || !got.close || !c.closed() {
		t.Errorf("a body that nobody wants: %+v", got)
	}
}

func TestBodyThatNobodyReads(t *testing.T) {
	address, _ := start(t, http1.Config{Handler: handler(func(_ context.Context, x *http1.Exchange) {
		x.Begin(http.StatusNotFound)
		x.End(nil)
	})})
	for _, size := range []int{1, 500_000} {
		c := dial(t, address)
		for range 2 {
			c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("a", size)))
			if got := c.receive("POST"); got.status != http.StatusNotFound || got.close {
				t.Errorf("%d bytes: %+v", size, got)
			}
		}
	}
	c := dial(t, address)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n")
	if got := c.receive("POST"); got.status != http.StatusNotFound || !got.close || !c.closed() {
		t.Errorf("chunks: %+v", got)
	}
}

func TestLargeRequestsAndResponses(t *testing.T) {
	address, _ := start(t, http1.Config{Handler: handler(echo)})
	c := dial(t, address)
	for _, size := range []int{10, 5_000, 16_000, 20_000, 300_000, 1 << 20} {
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		c.send(fmt.Sprintf("POST /a HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\nContent-Length: %d\r\n\r\n", strings.Repeat("x", size%30_000), size))
		c.send(body)
		if got := c.receive("POST"); got.body != "POST /a\n"+body {
			t.Errorf("%d bytes: got %d of status %d", size, len(got.body), got.status)
		}
	}
}
