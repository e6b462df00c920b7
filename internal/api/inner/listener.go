package inner

import (
	"context"
	"errors"
	"net"
	"sync"
)

// maxConns bounds a sandbox's connections. More are closed at once.
const maxConns = 64

// listener is one sandbox's. It knows its connections, so that they end with it.
type listener struct {
	net.Listener

	environment string
	ended       chan struct{} // closed when nothing accepts any more

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// conn is a connection of a listener.
type conn struct {
	net.Conn

	from *listener
}

// Accept returns the next connection, unless there are too many.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, from: l}
		if l.admit(c) {
			return c, nil
		}
		_ = nc.Close() // nothing was said on it
	}
}

func (l *listener) admit(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.conns) >= maxConns {
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

// Close ends the connection.
func (c *conn) Close() error {
	c.from.mu.Lock()
	delete(c.from.conns, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}

// Close ends the listener and its connections. It may be called twice.
func (l *listener) Close() error {
	err := l.Listener.Close()
	if errors.Is(err, net.ErrClosed) { // the sandbox was destroyed first
		err = nil
	}
	l.mu.Lock()
	l.closed = true
	conns := l.conns
	l.conns = map[net.Conn]struct{}{}
	l.mu.Unlock()
	for c := range conns {
		_ = c.(*conn).Conn.Close() // there is nobody to tell
	}
	return err
}

// ending is what an environment ends its listener with.
type ending struct{ *listener }

// Close ends the listener and waits until nothing accepts any more.
func (e ending) Close() error {
	err := e.listener.Close()
	<-e.ended
	return err
}

type environmentKey struct{}

// withEnvironment puts into a connection's context whose it is.
func withEnvironment(ctx context.Context, nc net.Conn) context.Context {
	if c, ok := nc.(*conn); ok {
		return context.WithValue(ctx, environmentKey{}, c.from.environment)
	}
	return ctx
}

// environmentOf returns the execution environment that a request comes from.
func environmentOf(ctx context.Context) string {
	environment, _ := ctx.Value(environmentKey{}).(string)
	return environment
}
