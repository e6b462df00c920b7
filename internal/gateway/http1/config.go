package http1

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Handler answers requests.
type Handler interface {
	// Serve answers one request by x's methods. ctx ends when the client has gone,
	// which is looked for from the moment that ctx.Done is first asked for, or when
	// the server is closed. What x says of the request lies in the connection's
	// buffer: it is valid until Serve returns.
	Serve(ctx context.Context, x *Exchange)
}

// Config is what a server works with.
type Config struct {
	Handler Handler
	// MaxConnections bounds the open connections; one more is answered 503 and
	// closed. 0: 10,000.
	MaxConnections int
	// MaxHeaderBytes bounds a request's head. 0: 64 KiB.
	MaxHeaderBytes int
	// HeaderTimeout bounds the receiving of a request's head, and the wait for the
	// first one of a connection. 0: 10 seconds.
	HeaderTimeout time.Duration
	// BodyTimeout bounds the receiving of a request's body. 0: a minute.
	BodyTimeout time.Duration
	// IdleTimeout bounds the time between two requests of a connection. 0: 2 minutes.
	IdleTimeout time.Duration
	// WriteTimeout bounds the sending of a response. 0: 5 minutes, which is 6 MiB at
	// 20 KiB a second.
	WriteTimeout time.Duration
	// Log receives what goes wrong with listening; nil discards.
	Log *slog.Logger
}

const (
	// maxLineBytes bounds the request line and each header line.
	maxLineBytes = 32 << 10
	// maxFields bounds the number of header lines.
	maxFields = 256
	// maxTrailerBytes bounds the lines behind a chunked body.
	maxTrailerBytes = 8 << 10
	// maxDiscard bounds what is read of a body that nobody wanted, so that the
	// connection can serve on.
	maxDiscard = 1 << 20
	// maxLinger and lingerTimeout bound what is read, and for how long, of a client
	// that still sends while its last answer waits to be read.
	maxLinger     = 8 << 20
	lingerTimeout = time.Second
	// maxTurned bounds the connections beyond the limit that are told so.
	maxTurned = 64
	// watchAfter is how long a handler waits before its client is watched: most
	// answers come sooner.
	watchAfter = 20 * time.Millisecond
)

var (
	// ErrClosed is what [Server.Serve] returns after Shutdown or Close, and the
	// cause of the contexts that Close ends.
	ErrClosed = errors.New("http1: the server is closed")
	// ErrClientGone is the cause of a context whose client has closed its
	// connection.
	ErrClientGone = errors.New("http1: the client has closed the connection")
	// ErrBodyTooLarge is what [Exchange.ReadBody] returns for a body beyond the limit.
	ErrBodyTooLarge = errors.New("http1: the body is larger than allowed")
)

func (c Config) withDefaults() Config {
	c.MaxConnections = orDefault(c.MaxConnections, 10_000)
	c.MaxHeaderBytes = orDefault(c.MaxHeaderBytes, 64<<10)
	c.HeaderTimeout = orDefault(c.HeaderTimeout, 10*time.Second)
	c.BodyTimeout = orDefault(c.BodyTimeout, time.Minute)
	c.IdleTimeout = orDefault(c.IdleTimeout, 2*time.Minute)
	c.WriteTimeout = orDefault(c.WriteTimeout, 5*time.Minute)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}
