package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

// hopRequest is what the load sends: about what curl does.
const hopRequest = "GET /fn/default/hello/path?a=1 HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"

// BenchmarkHop compares one hop over loopback TCP: the gateway in front of an
// invoker that answers at once, and net/http's reverse proxy in front of a server
// that does. The two take turns, so that what else the machine does strikes both.
// It prints the median of a request's time and the rate, and how the gateway's
// relate to the proxy's.
func BenchmarkHop(b *testing.B) {
	for _, bb := range []struct {
		name        string
		connections int
	}{{"1", 1}, {"64", 64}} {
		b.Run(bb.name, func(b *testing.B) {
			ours, theirs := newLoad(b, hop(b), bb.connections), newLoad(b, proxy(b), bb.connections)
			for b.Loop() {
				ours.turn(b)
				theirs.turn(b)
			}
			b.ReportMetric(ours.median(), "p50-µs")
			b.ReportMetric(ours.rate(), "rate/s")
			b.ReportMetric(theirs.median(), "proxy-p50-µs")
			b.ReportMetric(theirs.rate(), "proxy-rate/s")
			b.ReportMetric(ours.median()/theirs.median(), "p50-ratio")
			b.ReportMetric(ours.rate()/theirs.rate(), "rate-ratio")
		})
	}
}

// hop serves a gateway whose function answers at once.
func hop(b *testing.B) string {
	b.Helper()
	w := newWorld()
	res := &invocation.Result{Payload: []byte(`{"statusCode":200,"headers":{"content-type":"text/plain"},"body":"hello"}`), ContentType: "application/json"}
	w.invoke = func(context.Context, *invocation.Invocation) (*invocation.Result, error) { return res, nil }
	return serve(b, w.unrecorded())
}

// proxy serves a reverse proxy with a server behind it.
func proxy(b *testing.B) string {
	b.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "hello")
	}))
	b.Cleanup(upstream.Close)
	u, err := url.Parse(upstream.URL)
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	b.Cleanup(transport.CloseIdleConnections)
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: transport})
	b.Cleanup(front.Close)
	return front.Listener.Addr().String()
}

// load is a number of connections that send one request after the other.
type load struct {
	conns []net.Conn

	mu    sync.Mutex
	times []time.Duration
	spent time.Duration
}

func newLoad(b *testing.B, address string, connections int) *load {
	b.Helper()
	l := &load{}
	for range connections {
		c, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		l.conns = append(l.conns, c)
	}
	return l
}

// turn sends a few thousand requests.
func (l *load) turn(b *testing.B) {
	b.Helper()
	const requests = 2048
	var left atomic.Int64
	left.Store(requests)
	begun := time.Now()
	var all sync.WaitGroup
	for _, c := range l.conns {
		all.Go(func() {
			var times []time.Duration
			r := bufio.NewReader(c)
			for left.Add(-1) >= 0 {
				sent := time.Now()
				if err := exchange(c, r); err != nil {
					b.Error(err)
					return
				}
				times = append(times, time.Since(sent))
			}
			l.mu.Lock()
			l.times = append(l.times, times...)
			l.mu.Unlock()
		})
	}
	all.Wait()
	l.spent += time.Since(begun)
}

// exchange sends a request and reads its answer with little work of its own.
func exchange(c net.Conn, r *bufio.Reader) error {
	if _, err := io.WriteString(c, hopRequest); err != nil {
		return err
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case len(line) == 2:
			_, err := r.Discard(length)
			return err
		case len(line) > 18 && strings.EqualFold(string(line[:16]), "Content-Length: "):
			length = int(line[16] - '0')
		}
	}
}

func (l *load) median() float64 {
	slices.Sort(l.times)
	return float64(l.times[len(l.times)/2].Nanoseconds()) / 1000
}

func (l *load) rate() float64 { return float64(len(l.times)) / l.spent.Seconds() }
