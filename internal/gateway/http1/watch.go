package http1

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// callContext is the context of a connection's requests. To ask for its Done is
// to have the client watched: a call that need not wait does not ask, and pays
// nothing.
type callContext struct {
	context.Context //nolint:containedctx // it is a context

	conn *conn
}

// Done implements [context.Context].
func (c *callContext) Done() <-chan struct{} {
	c.conn.watch.ask(c.conn)
	return c.Context.Done()
}

// watch is the looking for a client that leaves while its request is handled: a
// read behind the request that waits for the connection's end. It begins when it
// has been asked for and some milliseconds have passed.
type watch struct {
	mu      sync.Mutex
	serving bool // the handler runs and nobody else reads
	asked   bool
	timer   *time.Timer   // begins the read
	done    chan struct{} // closed when the read has ended; nil: there is none

	// What the read has brought; read by the connection's goroutine after done.
	n   int
	err error
}

// ask may be called by any goroutine at any time.
func (w *watch) ask(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.serving || w.asked {
		return
	}
	w.asked = true
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, c.watchClient)
		return
	}
	w.timer.Reset(watchAfter)
}

// watchClient runs in the timer's goroutine. unwatch ends it and waits for it.
func (c *conn) watchClient() {
	w := &c.watch
	w.mu.Lock()
	if !w.asked || w.done != nil || c.w == len(c.work.in) {
		w.mu.Unlock()
		return
	}
	done := make(chan struct{})
	w.done = done
	_ = c.nc.SetReadDeadline(time.Time{})
	behind := c.work.in[c.w:]
	w.mu.Unlock()

	defer close(done)
	w.n, w.err = c.nc.Read(behind)
	if w.err != nil && !errors.Is(w.err, os.ErrDeadlineExceeded) {
		c.cancel(ErrClientGone)
	}
}

// allowWatch is called before the handler runs, and behind each reading of its.
func (c *conn) allowWatch() {
	c.watch.mu.Lock()
	c.watch.serving = true
	c.watch.mu.Unlock()
}

// unwatch gives the connection back to its goroutine for reading. What the watch
// has read is there as if it had just come.
func (c *conn) unwatch() {
	w := &c.watch
	w.mu.Lock()
	asked, done := w.asked, w.done
	w.serving, w.asked, w.done = false, false, nil
	w.mu.Unlock()
	if !asked {
		return
	}
	w.timer.Stop()
	if done == nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	<-done
	c.readBy.clear()
	c.w += w.n
	c.gone = c.gone || w.err != nil && !errors.Is(w.err, os.ErrDeadlineExceeded)
}
