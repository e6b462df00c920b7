package http1_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/gateway/http1"
)

func TestResponses(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	tests := []struct {
		name   string
		method string
		answer func(x *http1.Exchange)
		status int
		header string // names and values but Date
		body   string
	}{
		{
			"plain", "GET", func(x *http1.Exchange) { x.Begin(200); x.Field("A", "b"); x.End([]byte("hello")) },
			200, "A=b Content-Length=5", "hello",
		},
		{"long", "GET", func(x *http1.Exchange) { x.Begin(200); x.End([]byte(long)) }, 200, "Content-Length=100000", long},
		{"none", "GET", func(x *http1.Exchange) { x.Begin(200); x.End(nil) }, 200, "Content-Length=0", ""},
		{"HEAD", "HEAD", func(x *http1.Exchange) { x.Begin(200); x.End([]byte(long)) }, 200, "Content-Length=100000", ""},
		{"204", "GET", func(x *http1.Exchange) { x.Begin(204); x.Field("A", "b"); x.End([]byte("no")) }, 204, "A=b", ""},
		{
			"304", "GET", func(x *http1.Exchange) {
				x.Begin(304)
				x.ForeignField([]byte("content-type"), []byte("a/b"))
				x.ForeignField([]byte("etag"), []byte("1"))
				x.End([]byte("no"))
			}, 304, "Etag=1", "",
		},
		{"unknown status", "GET", func(x *http1.Exchange) { x.Begin(299); x.End([]byte("x")) }, 299, "Content-Length=1", "x"},
		{
			"appended", "GET", func(x *http1.Exchange) { x.Begin(200); x.CloseBody(append(x.OpenBody(), long...)) },
			200, "Content-Length=100000", long,
		},
		{"appended to HEAD", "HEAD", func(x *http1.Exchange) { x.Begin(200); x.CloseBody(append(x.OpenBody(), "abc"...)) }, 200, "Content-Length=3", ""},
		{"appended to 204", "GET", func(x *http1.Exchange) { x.Begin(204); x.CloseBody(append(x.OpenBody(), "abc"...)) }, 204, "", ""},
		{
			"begun again", "GET", func(x *http1.Exchange) {
				x.Begin(200)
				x.Field("A", "b")
				_ = append(x.OpenBody(), "abc"...)
				x.Begin(502)
				x.End([]byte("d"))
			}, 502, "Content-Length=1", "d",
		},
		{
			"the second answer", "GET", func(x *http1.Exchange) { x.Begin(200); x.End([]byte("a")); x.Begin(500); x.End([]byte("b")) },
			200, "Content-Length=1", "a",
		},
		{
			"foreign headers", "GET", func(x *http1.Exchange) {
				x.Begin(200)
				x.ForeignField([]byte("x-aBc-d"), []byte(" a\r\nX-B: 2\x00\tä "))
				x.ForeignField([]byte("not a name"), []byte("a"))
				x.ForeignField([]byte("bad:"), []byte("a"))
				x.ForeignField([]byte(""), []byte("a"))
				x.End(nil)
			}, 200, "Content-Length=0 X-Abc-D=a  X-B: 2 \tä", "",
		},
		{"none at all", "GET", func(*http1.Exchange) {}, 500, "Content-Length=55 Content-Type=application/json X-Amzn-Errortype=Internal", `{"Message":"the platform failed to handle the request"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address, _ := start(t, http1.Config{Handler: handler(func(_ context.Context, x *http1.Exchange) { tt.answer(x) })})
			c := dial(t, address)
			c.send(tt.method + " / HTTP/1.1\r\nHost: x\r\n\r\n")
			got := c.receive(tt.method)
			if got.status != tt.status || got.body != tt.body {
				t.Errorf("got %d %.80q, want %d %.80q", got.status, got.body, tt.status, tt.body)
			}
			got.header.Del("Date")
			var fields []string
			for _, name := range slices.Sorted(maps.Keys(got.header)) {
				fields = append(fields, name+"="+strings.Join(got.header[name], "|"))
			}
			if text := strings.Join(fields, " "); text != tt.header {
				t.Errorf("headers %q, want %q", text, tt.header)
			}
			if tt.status != 500 { // the connection is in step
				c.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
				if again := c.receive("HEAD"); again.status != tt.status {
					t.Errorf("the second answer is %d", again.status)
				}
			}
		})
	}
}

func TestADateThatTheFunctionSets(t *testing.T) {
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	address, _ := start(t, http1.Config{Handler: handler(func(_ context.Context, x *http1.Exchange) {
		x.Begin(http.StatusOK)
		x.ForeignField([]byte("date"), []byte(date))
		x.End(nil)
	})})
	c := dial(t, address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := c.receive("GET").header.Values("Date"); len(got) != 1 || got[0] != date {
		t.Errorf("Date = %q", got)
	}
}

func TestAHandlerThatPanicsTakesItsConnectionAlone(t *testing.T) {
	address, _ := start(t, http1.Config{Handler: handler(func(_ context.Context, x *http1.Exchange) {
		if string(x.Path) == "/panic" {
			panic("bug")
		}
		x.Begin(http.StatusOK)
		x.End(nil)
	})})
	c, other := dial(t, address), dial(t, address)
	c.send("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n")
	if !c.closed() {
		t.Error("the connection is still open")
	}
	other.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := other.receive("GET"); got.status != http.StatusOK {
		t.Errorf("another connection: %+v", got)
	}
}
