package http1_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/gateway/http1"
)

// gate is a handler that answers when it is let.
type gate struct {
	entered chan context.Context
	open    chan struct{}
}

func newGate() *gate { return &gate{make(chan context.Context, 8), make(chan struct{})} }

func (g *gate) Serve(ctx context.Context, x *http1.Exchange) {
	_, _ = x.ReadBody("", 1<<20, 0)
	g.entered <- ctx
	select {
	case <-g.open:
	case <-ctx.Done():
	}
	x.Begin(http.StatusOK)
	x.End([]byte("late"))
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestShutdownClosesIdleConnectionsAndWaitsForTheOthers(t *testing.T) {
	g := newGate()
	address, s := start(t, http1.Config{Handler: g})
	unused, busy := dial(t, address), dial(t, address)
	busy.send(get)
	<-g.entered
	short, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the time is over")
	cancel(over)
	if err := s.Shutdown(short); !errors.Is(err, over) {
		t.Errorf("shutdown with a call under way: %v", err)
	}
	if !unused.closed() {
		t.Error("an idle connection is open")
	}
	if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
		c.Close()
		t.Error("the server still listens")
	}
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	close(g.open)
	if got := busy.receive("GET"); got.body != "late" || !got.close || !busy.closed() {
		t.Errorf("the call under way: %+v", got)
	}
	if err := <-done; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	g := newGate()
	address, s := start(t, http1.Config{Handler: g})
	c := dial(t, address)
	c.send(get)
	ctx := <-g.entered
	s.Close()
	s.Wait()
	if err := context.Cause(ctx); !errors.Is(err, http1.ErrClosed) {
		t.Errorf("the context ended with %v", err)
	}
	_, _ = io.Copy(io.Discard, c.r) // returns when the connection is closed
}

func TestAClientThatLeavesEndsTheContext(t *testing.T) {
	for name, leave := range map[string]func(*client){
		"closes":          func(c *client) { c.Close() },
		"closes its half": func(c *client) { _ = c.Conn.(*net.TCPConn).CloseWrite() },
		"resets":          func(c *client) { _ = c.Conn.(*net.TCPConn).SetLinger(0); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			address, _ := start(t, http1.Config{Handler: g})
			c := dial(t, address)
			c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
			ctx := <-g.entered
			leave(c)
			<-ctx.Done()
			if err := context.Cause(ctx); !errors.Is(err, http1.ErrClientGone) {
				t.Errorf("the context ended with %v", err)
			}
			if name == "closes its half" { // and still listens
				if got := c.receive("POST"); got.body != "late" || !c.closed() {
					t.Errorf("got %+v", got)
				}
			}
		})
	}
}

func TestAWatchedConnectionServesOn(t *testing.T) {
	g := newGate()
	address, _ := start(t, http1.Config{Handler: g})
	c := dial(t, address)
	for _, pipelined := range []bool{false, true, false} {
		c.send(get)
		ctx := <-g.entered
		child, cancel := context.WithTimeout(ctx, time.Hour)
		if pipelined {
			c.send(get)
		}
		g.open <- struct{}{}
		if pipelined {
			<-g.entered
			g.open <- struct{}{}
			c.receive("GET")
		}
		if got := c.receive("GET"); got.status != http.StatusOK || got.close {
			t.Errorf("pipelined %t: %+v", pipelined, got)
		}
		if err := child.Err(); err != nil {
			t.Errorf("the context of an answered call: %v", err)
		}
		cancel()
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	g := newGate()
	address, _ := start(t, http1.Config{Handler: g, MaxConnections: 1})
	first := dial(t, address)
	first.send(get)
	<-g.entered
	second := dial(t, address)
	if got := second.receive("GET"); got.status != http.StatusServiceUnavailable || got.header.Get("X-Amzn-Errortype") != "TooManyConnections" ||
		got.header.Get("Retry-After") != "1" || !second.closed() {
		t.Errorf("a connection too many: %+v", got)
	}
	close(g.open)
	first.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	first.receive("GET")
	first.receive("GET")
	if !first.closed() {
		t.Error("the connection is open")
	}
	for served := false; !served; { // the server may still count the first
		third := dial(t, address)
		third.send(get)
		served = third.receive("GET").status == http.StatusOK
	}
}

func TestServeAfterClose(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := http1.New(http1.Config{})
	s.Close()
	if err := s.Serve(l); !errors.Is(err, http1.ErrClosed) {
		t.Errorf("serve: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestAListenerThatFailsEndsServe(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := http1.New(http1.Config{}).Serve(l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("serve: %v", err)
	}
}
