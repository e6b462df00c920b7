package http1_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mayfly.dev/mayfly/internal/gateway/http1"
)

// seen is a request as a handler sees it.
type seen struct {
	line, host string
	fields     []string // name: value, sorted; values of one name in their order
	body       string
}

func (s seen) String() string {
	return fmt.Sprintf("%s | %q | %q | %q", s.line, s.host, s.fields, s.body)
}

const fuzzBody = 1 << 16

// ours returns what the handler of this package's server sees of what is sent
// over one connection. A request whose body is malformed or too large is not seen.
func ours(sent []byte) (all []seen) {
	s := http1.New(http1.Config{Handler: handler(func(_ context.Context, x *http1.Exchange) {
		body, err := x.ReadBody("", fuzzBody, 0)
		if err == nil {
			r := seen{line: fmt.Sprintf("%s %s %s", x.Method, x.Target, x.Proto()), host: string(x.Host), body: string(body)}
			for _, f := range x.Fields {
				if name := string(f.Name); name != "host" && name != "transfer-encoding" && name != "trailer" {
					r.fields = append(r.fields, name+": "+string(f.Value))
				}
			}
			slices.SortStableFunc(r.fields, byName)
			all = append(all, r)
		}
		x.Begin(http.StatusOK)
		x.End(nil)
	})})
	deliver(sent, s.Serve)
	s.Close()
	s.Wait()
	return all
}

// theirs is ours of net/http.
func theirs(sent []byte) (all []seen) {
	s := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, fuzzBody))
			if err == nil {
				q := seen{line: r.Method + " " + r.RequestURI + " " + r.Proto, host: r.Host, body: string(body)}
				for name, values := range r.Header {
					for _, v := range values {
						q.fields = append(q.fields, strings.ToLower(name)+": "+v)
					}
				}
				slices.SortStableFunc(q.fields, byName)
				all = append(all, q)
			}
		}),
	}
	deliver(sent, s.Serve)
	_ = s.Close()
	return all
}

func byName(a, b string) int {
	a, _, _ = strings.Cut(a, ":")
	b, _, _ = strings.Cut(b, ":")
	return strings.Compare(a, b)
}

// deliver sends bytes over one connection to what serve serves, and returns when
// the server has done all that it does about them.
func deliver(sent []byte, serve func(net.Listener) error) {
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	go func() { _ = serve(l) }()
	client, server := net.Pipe()
	l.conns <- server
	go func() { _, _ = io.Copy(io.Discard, client) }()
	_, _ = client.Write(sent)
	synctest.Wait()
	client.Close()
	synctest.Wait()
	l.Close()
}

// stricter are the forms that net/http takes and this package refuses or ends the
// connection on, each because another server may read it in another way.
var stricter = []struct {
	what string
	form *regexp.Regexp
}{
	{"a line that ends with a bare line feed (RFC 9112, 2.2 allows to take it)", regexp.MustCompile(`(^|[^\r])\n`)},
	{"a folded line (5.2: refused, or unfolded)", regexp.MustCompile(`\n[ \t]`)},
	{"Content-Length beside Transfer-Encoding (6.1: may be refused)", regexp.MustCompile(`(?is)(content-length.*transfer-encoding|transfer-encoding.*content-length)`)},
	{"Content-Length more than once (6.3: may be refused even if they agree)", regexp.MustCompile(`(?is)\ncontent-length.*\ncontent-length`)},
	{"Transfer-Encoding in HTTP/1.0 (6.1: faulty framing)", regexp.MustCompile(`(?is)HTTP/1\.0\r?\n.*transfer-encoding`)},
	{"targets that are neither a path nor an http URL, and CONNECT", regexp.MustCompile(`(?m)^(CONNECT |\S+ [^/ ])`)},
	{"an upper-case or unknown scheme, a user name", regexp.MustCompile(`://`)},
	{"blanks and control characters in a chunk's size line, a long one; thin chunks", regexp.MustCompile(`(?is)transfer-encoding`)},
	{"100-continue among other expectations", regexp.MustCompile(`(?i)\nexpect`)},
}

// FuzzAgainstNetHTTP sends the same bytes to both servers. What ours takes for a
// request, net/http must see in the same way and in the same place: otherwise a
// proxy in front of the node could be made to see other requests than the node.
// What net/http takes and ours refuses has one of the forms of stricter.
func FuzzAgainstNetHTTP(f *testing.F) {
	for _, seed := range seeds() {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		if len(sent) > 4<<10 {
			return // the limits differ
		}
		var mine, reference []seen
		synctest.Test(t, func(*testing.T) { mine = ours(bytes.Clone(sent)) })
		synctest.Test(t, func(*testing.T) { reference = theirs(bytes.Clone(sent)) })
		for i, r := range mine {
			if i >= len(reference) {
				if !refusedByNetHTTP(sent) {
					t.Fatalf("net/http does not see request %d of %q:\nours %v", i, sent, r)
				}
				return
			}
			if got, want := r.String(), reference[i].String(); got != want && !rewritten(reference[i]) {
				t.Fatalf("request %d of %q:\nours     %s\nnet/http %s", i, sent, got, want)
			}
		}
		if len(mine) < len(reference) && !slices.ContainsFunc(stricter, func(s struct {
			what string
			form *regexp.Regexp
		},
		) bool {
			return s.form.Match(sent)
		}) {
			t.Fatalf("%q: ours sees %d requests, net/http %d", sent, len(mine), len(reference))
		}
	})
}

// refusedByNetHTTP reports whether net/http refuses what ours takes: an empty
// line before a request that does not follow a POST.
func refusedByNetHTTP(sent []byte) bool {
	return bytes.HasPrefix(sent, []byte("\r\n")) || bytes.Contains(sent, []byte("\r\n\r\n\r\n"))
}

// rewritten reports whether net/http changes the headers on its own: Pragma makes
// a Cache-Control.
func rewritten(r seen) bool {
	return slices.ContainsFunc(r.fields, func(f string) bool { return strings.HasPrefix(f, "pragma:") })
}

func seeds() []string {
	const host = "Host: x\r\n"
	return []string{
		"GET /a?b=c HTTP/1.1\r\n" + host + "\r\n",
		"GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
		"POST /a HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n" + host + "\r\n",
		"POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\nGET /b HTTP/1.1\r\n" + host + "\r\n",
		"POST /a HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n" + host + "\r\n",
		"POST /a HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"POST /a HTTP/1.1\r\n" + host + "Content-Length: 3, 3\r\n\r\nabc",
		"POST /a HTTP/1.1\r\n" + host + "Content-Length: +3\r\n\r\nabc",
		"POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\n\r\n",
		"POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
		"POST /a HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		"GET http://y.z:80/a%20b HTTP/1.1\r\n" + host + "\r\n",
		"OPTIONS * HTTP/1.1\r\n" + host + "\r\n",
		"CONNECT x:80 HTTP/1.1\r\n" + host + "\r\n",
		"GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n",
		"GET / HTTP/1.1\nHost: x\n\n",
		"GET / HTTP/1.1\r\n" + host + "A : b\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Connection: close, x\r\nX: \xff\t\"\r\nx: 2\r\n\r\nGET /b HTTP/1.1\r\n" + host + "\r\n",
		"\r\nGET / HTTP/1.1\r\n" + host + "\r\n",
		"GET /%zz HTTP/1.1\r\n" + host + "\r\n",
		"GET //a/../b#c HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	}
}
