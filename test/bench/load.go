package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// target is an HTTP server under load.
type target struct {
	address string
	host    string // of the Host header
}

// work is what a load does.
type work struct {
	connections int
	// The load ends after duration, or after so many requests if that is set.
	duration time.Duration
	requests int
	// rate sends so many requests a second whatever the answers do, and counts a
	// request's time from when it was due; with 0 each connection sends its next
	// request when it has the answer to the one before.
	rate float64
	// timing asks for the phases of each call.
	timing bool
}

// burst is what a load found.
type burst struct {
	// latencies are those of answers with the status 200 and the body "hello", all
	// others are failures, of which fault is the first.
	latencies []time.Duration
	failures  int
	fault     error
	// timings are the Server-Timing headers, if work asked for them.
	timings []string
	elapsed time.Duration
}

// load does w. Failures of single requests are counted; err is that of a load
// which could not be done.
func load(ctx context.Context, t target, w work) (*burst, error) {
	l, err := newLoader(t, w)
	if err != nil {
		return nil, err
	}
	return l.run(ctx)
}

// flawless is load for a target that must not fail.
func flawless(ctx context.Context, t target, w work) (*burst, error) {
	b, err := load(ctx, t, w)
	if err == nil && b.failures > 0 {
		err = fmt.Errorf("%d of %d requests failed, the first one with: %w", b.failures, b.failures+len(b.latencies), b.fault)
	}
	return b, err
}

// once sends one request on a connection of its own, which is part of what it
// takes, and reads the answer, whose body must be "hello". path begins with a slash.
func once(ctx context.Context, t target, path string) (took time.Duration, timing string, err error) {
	begun := time.Now()
	conn, err := dial(ctx, t)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close() //nolint:errcheck // nothing is left to lose
	timing, err = exchange(ctx, conn, request(t, path, true))
	return time.Since(begun), timing, err
}

func dial(ctx context.Context, t target) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", t.address)
}

// exchange sends a request on a connection and reads the answer.
func exchange(ctx context.Context, conn net.Conn, request []byte) (timing string, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	buffer, n := make([]byte, maxAnswer), 0
	for {
		m, err := conn.Read(buffer[n:])
		n += m
		a, ok := parse(buffer[:n])
		switch {
		case ok:
			return a.timing, a.err()
		case errors.Is(err, io.EOF) || m == 0 && err == nil:
			return "", fmt.Errorf("the answer is cut off: %q", buffer[:n])
		case err != nil:
			return "", err
		}
	}
}

func request(t target, path string, timing bool) []byte {
	head := "GET " + path + " HTTP/1.1\r\nHost: " + t.host + "\r\nUser-Agent: bench\r\nAccept: */*\r\n"
	if timing {
		head += "Mayfly-Timing: 1\r\n"
	}
	return []byte(head + "\r\n")
}

// maxAnswer bounds an answer's head and body.
const maxAnswer = 8 << 10

// answer is a whole HTTP answer.
type answer struct {
	status int
	body   []byte // of the buffer that was parsed
	timing string
}

// err says what is wrong with an answer that should be hello.
func (a answer) err() error {
	if a.status != 200 || string(a.body) != "hello" {
		return fmt.Errorf("the answer is %d: %.200q", a.status, a.body)
	}
	return nil
}

var headEnd = []byte("\r\n\r\n")

// parse reads an answer that says its length; ok is false until it is whole. One
// that does not say it, or is no HTTP, has the status 0.
func parse(b []byte) (a answer, ok bool) {
	head, body, found := bytes.Cut(b, headEnd)
	if !found {
		return a, len(b) >= maxAnswer
	}
	status, head, _ := bytes.Cut(head, headEnd[:2])
	length := -1
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, headEnd[:2])
		colon := bytes.IndexByte(line, ':')
		switch {
		case colon == len("content-length") && bytes.EqualFold(line[:colon], []byte("content-length")):
			if n, err := strconv.Atoi(string(bytes.TrimSpace(line[colon+1:]))); err == nil {
				length = n
			}
		case colon == len("server-timing") && bytes.EqualFold(line[:colon], []byte("server-timing")):
			a.timing = string(bytes.TrimSpace(line[colon+1:]))
		}
	}
	if len(status) < len("HTTP/1.1 200") || length < 0 {
		a.body = b
		return a, true
	}
	if len(body) < length && len(b) < maxAnswer {
		return a, false
	}
	a.status, _ = strconv.Atoi(string(status[9:12]))
	a.body = body
	return a, true
}
