// Package http1 is the HTTP/1.1 server of the data plane. It reads a request's
// head once, where it lies in the connection's buffer, and writes a response with
// one system call; an ordinary request costs it no allocation, no goroutine and
// no timer. What can be read in two ways it refuses, more strictly than net/http
// does (parse.go and chunked.go name the sections of RFC 9112). It knows nothing
// of functions: that is its [Handler]'s affair.
//
// A [Server] is safe for concurrent use. Each connection has one goroutine, which
// also runs the handler; a second one exists only while a handler that waits has
// asked whether the client is still there ([conn.watch]). An [Exchange] belongs
// to its handler's goroutine until the handler returns.
//
// The order of the locks: Server.mu and watch.mu are never held together.
package http1
