package lambda //nolint:testpackage // what is read by hand is the private invariant

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestOnlyUsualRequestsAreReadByHand(t *testing.T) {
	const next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n"
	const post = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\n"
	usual := map[string]lean{
		next + "\r\n": {next: true},
		next + "Host: 127.0.0.1:9001\r\nUser-Agent: x/1 (y)\r\nContent-Length: 0\r\n\r\n":       {next: true},
		next + "connection: close\r\n\r\n":                                                      {next: true, last: true},
		post + "Content-Length: 3\r\n\r\nabc":                                                   {id: []byte("a-1"), length: 3},
		post + "content-type: text/x\r\nConnection:keep-alive\r\ncontent-length:  3 \r\n\r\nab": {id: []byte("a-1"), length: 3},
	}
	for text, want := range usual {
		h, ok := parseLean([]byte(text))
		if !ok || h.next != want.next || string(h.id) != string(want.id) || h.length != want.length || h.last != want.last ||
			h.size != strings.Index(text, "\r\n\r\n")+4 {
			t.Errorf("%q = %+v, %t", text, h, ok)
		}
	}
	for _, text := range []string{
		"", "GET", next, next + "Host: x\r\n", next + "Content-Length: 1\r\n\r\n", next + " folded: x\r\n\r\n", next + "no colon\r\n\r\n",
		next + "Connection: upgrade\r\n\r\n", next + "X: a\tb\r\n\r\n", next + "X: a\x00b\r\n\r\n", next + "X y: a\r\n\r\n", next + "X: a\nY: b\r\n\r\n",
		"GET /2018-06-01/runtime/invocation/next HTTP/1.0\r\n\r\n", "HEAD" + next[3:] + "\r\n", "GET /2018-06-01/ping HTTP/1.1\r\n\r\n",
		post + "\r\n", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", post + "Content-Length: +3\r\n\r\n", post + "Content-Length: \r\n\r\n",
		post + "Content-Length: 6291557\r\n\r\n", post + "Content-Length: 99999999999\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n", post + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", post + "Trailer: x\r\nContent-Length: 3\r\n\r\n",
		post + "Upgrade: x\r\nContent-Length: 3\r\n\r\n", post + "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Length: 3\r\n\r\n",
		post + "Content-Type: application/vnd.AWSLambda.http-integration-response\r\nContent-Length: 3\r\n\r\n",
		strings.Replace(post, "a-1", "a%31", 1) + "Content-Length: 3\r\n\r\n", strings.Replace(post, "a-1", "", 1) + "Content-Length: 3\r\n\r\n",
		strings.Replace(post, "response", "error", 1) + "Content-Length: 3\r\n\r\n",
	} {
		if h, ok := parseLean([]byte(text)); ok {
			t.Errorf("%q is read by hand: %+v", text, h)
		}
	}
}

// FuzzLean compares what is read by hand with what net/http reads.
func FuzzLean(f *testing.F) {
	f.Add([]byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
	f.Add([]byte("POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nContent-Length: 03\r\nX-Y:\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, head []byte) {
		h, ok := parseLean(head)
		if !ok {
			return
		}
		r := bufio.NewReaderSize(bytes.NewReader(head), 1<<20)
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("net/http does not read %q: %v", head, err)
		}
		method, path := "GET", pathNext
		if !h.next {
			method, path = "POST", pathInvocation+string(h.id)+"/response"
		}
		if req.Method != method || req.URL.Path != path || req.ProtoMinor != 1 {
			t.Errorf("%q: net/http reads %s %s %s", head, req.Method, req.URL.Path, req.Proto)
		}
		if int(req.ContentLength) != h.length || len(req.TransferEncoding) > 0 || len(req.Trailer) > 0 || req.Close != h.last {
			t.Errorf("%q: net/http reads length %d, encoding %q, trailers %v, close %t; by hand %+v", head,
				req.ContentLength, req.TransferEncoding, req.Trailer, req.Close, h)
		}
		if read := len(head) - r.Buffered(); read != h.size {
			t.Errorf("%q: net/http's head has %d bytes, by hand %d", head, read, h.size)
		}
	})
}
