package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// target is an HTTP server under load.
type target struct {
	address string
	host    string // of the Host header
}

// burst is what a load found.
type burst struct {
	latencies []time.Duration
	elapsed   time.Duration
}

// load sends GET requests over so many keep-alive connections, each as soon as the
// one before it was answered, until d is over. It is written by hand on plain
// connections, because it shares the machine with what it measures. Every answer
// must have the status 200 and the body "hello".
func load(ctx context.Context, t target, connections int, d time.Duration) (*burst, error) {
	conns, err := dial(ctx, t, connections)
	defer func() {
		for _, c := range conns {
			_ = c.Close() // nobody is there to care
		}
	}()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			_ = c.SetDeadline(time.Unix(1, 0))
		}
	})
	defer stop()
	var clients sync.WaitGroup
	found := make([][]time.Duration, connections)
	errs := make([]error, connections)
	begun := time.Now()
	for i, c := range conns {
		clients.Go(func() { found[i], errs[i] = drive(c, t.host, begun.Add(d)) })
	}
	clients.Wait()
	b := &burst{elapsed: time.Since(begun)}
	for _, f := range found {
		b.latencies = append(b.latencies, f...)
	}
	return b, errors.Join(errs...)
}

func dial(ctx context.Context, t target, n int) (conns []net.Conn, err error) {
	var d net.Dialer
	for range n {
		c, err := d.DialContext(ctx, "tcp", t.address)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
	}
	return conns, nil
}

// drive is one connection's part.
func drive(c net.Conn, host string, until time.Time) (latencies []time.Duration, err error) {
	request := []byte("GET / HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	r := bufio.NewReader(c)
	for now := time.Now(); now.Before(until); {
		if _, err := c.Write(request); err != nil {
			return latencies, err
		}
		if err := expectHello(r); err != nil {
			return latencies, err
		}
		done := time.Now()
		latencies = append(latencies, done.Sub(now))
		now = done
	}
	return latencies, nil
}

// expectHello reads an answer.
func expectHello(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read the status line: %w", err)
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("the answer is %q", status)
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read a header: %w", err)
		}
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		if !ok {
			break
		}
		if strings.EqualFold(string(name), "content-length") {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return fmt.Errorf("read Content-Length: %w", err)
			}
		}
	}
	const hello = "hello"
	if length != len(hello) {
		return fmt.Errorf("the answer has a body of %d bytes, want %d", length, len(hello))
	}
	var body [len(hello)]byte
	if _, err := io.ReadFull(r, body[:]); err != nil || string(body[:]) != hello {
		return fmt.Errorf("the answer is %q: %w", body, err)
	}
	return nil
}
