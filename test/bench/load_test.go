package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAnswersAreParsed(t *testing.T) {
	const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	for _, c := range []struct {
		name, text string
		whole      bool
		status     int
		body       string
		timing     string
	}{
		{"hello", hello, true, 200, "hello", ""},
		{"head alone", strings.TrimSuffix(hello, "hello"), false, 0, "", ""},
		{"half of the head", hello[:20], false, 0, "", ""},
		{"half of the body", strings.TrimSuffix(hello, "lo"), false, 0, "", ""},
		{"lower case", "HTTP/1.1 503 No\r\ncontent-length:2\r\n\r\nno", true, 503, "no", ""},
		{"phases", "HTTP/1.1 200 OK\r\nServer-Timing: queue;dur=1\r\nContent-Length: 5\r\n\r\nhello", true, 200, "hello", "queue;dur=1"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", true, 0, "HTTP/1.1 200 OK\r\n\r\n", ""},
		{"no HTTP", "what?\r\nContent-Length: 0\r\n\r\n", true, 0, "what?\r\nContent-Length: 0\r\n\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, whole := parse([]byte(c.text))
			if whole != c.whole || a.status != c.status || string(a.body) != c.body || a.timing != c.timing {
				t.Errorf("got %d %q %q, whole %v", a.status, a.body, a.timing, whole)
			}
		})
	}
}

// served is a target whose nth request is answered by the handler.
func served(t *testing.T, handle func(w http.ResponseWriter, n int64)) (target, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { handle(w, n.Add(1)) }))
	t.Cleanup(s.Close)
	address := s.Listener.Addr().String()
	return target{address: address, host: address}, &n
}

func hello(w http.ResponseWriter, _ int64) { _, _ = io.WriteString(w, "hello") }

func TestLoadSendsWhatItShould(t *testing.T) {
	for _, c := range []struct {
		name string
		work work
		want int
	}{
		{"a number", work{connections: 8, requests: 100}, 100},
		{"fewer than connections", work{connections: 8, requests: 3}, 3},
		{"a rate", work{connections: 2, duration: 100 * time.Millisecond, rate: 1000}, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			to, n := served(t, hello)
			b, err := flawless(t.Context(), to, c.work)
			if err != nil {
				t.Fatal(err)
			}
			if len(b.latencies) != c.want || n.Load() != int64(c.want) {
				t.Errorf("got %d answers to %d requests, want %d", len(b.latencies), n.Load(), c.want)
			}
		})
	}
}

func TestLoadAsksForPhases(t *testing.T) {
	to, _ := served(t, func(w http.ResponseWriter, n int64) {
		w.Header().Set("Server-Timing", "queue;dur=1")
		hello(w, n)
	})
	b, err := flawless(t.Context(), to, work{connections: 1, requests: 2, timing: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.timings) != 2 || b.timings[0] != "queue;dur=1" {
		t.Errorf("got %q", b.timings)
	}
}

func TestLoadCountsFailures(t *testing.T) {
	for _, c := range []struct {
		name, fault string
		handle      func(http.ResponseWriter, int64)
	}{
		{"status", "503", func(w http.ResponseWriter, n int64) {
			if n%2 == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			hello(w, n)
		}},
		{"body", "howdy", func(w http.ResponseWriter, n int64) {
			if n%2 == 0 {
				_, _ = io.WriteString(w, "howdy")
				return
			}
			hello(w, n)
		}},
		{"connection", "closed the connection", func(w http.ResponseWriter, n int64) {
			if n%2 == 0 {
				panic(http.ErrAbortHandler)
			}
			hello(w, n)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			to, _ := served(t, c.handle)
			b, err := load(t.Context(), to, work{connections: 4, requests: 20})
			if err != nil {
				t.Fatal(err)
			}
			if b.failures != 10 || len(b.latencies) != 10 || !strings.Contains(b.fault.Error(), c.fault) {
				t.Errorf("got %d failures, %d answers, %v", b.failures, len(b.latencies), b.fault)
			}
		})
	}
}

func TestOnceReadsOneAnswer(t *testing.T) {
	to, _ := served(t, func(w http.ResponseWriter, n int64) {
		w.Header().Set("Server-Timing", "queue;dur=1")
		hello(w, n)
	})
	took, timing, err := once(t.Context(), to, "/")
	if err != nil || took <= 0 || timing != "queue;dur=1" {
		t.Errorf("got %v, %q, %v", took, timing, err)
	}
}
