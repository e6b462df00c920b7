// Package output reads what user code writes to its standard output and
// standard error. Both are pipes that are read whenever something arrives, and
// emptied when somebody must know that nothing is left: before an answer is
// handed on, all that was written before it has to be.
//
// An [Output] is safe for concurrent use and owns two goroutines between Begin
// and Close. A stream's lock is held while a line is handed over, so that lines
// of one stream keep their order, and is never taken with another.
package output

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/runtimeapi"
)

// Config says where lines go.
type Config struct {
	// Emit receives the lines, from several goroutines. It must not block; nil
	// discards.
	Emit func(runtimeapi.Line)
	// Request returns the id of the invocation that output belongs to; nil:
	// nobody can tell.
	Request func() string
}

// Output is what one process and its children print.
type Output struct {
	stdout, stderr *stream
	running        sync.WaitGroup
}

// New makes the two pipes. Close frees them.
func New(cfg Config) (*Output, error) {
	if cfg.Emit == nil {
		cfg.Emit = func(runtimeapi.Line) {}
	}
	if cfg.Request == nil {
		cfg.Request = func() string { return "" }
	}
	stdout, err := newStream("stdout", &cfg)
	if err != nil {
		return nil, err
	}
	stderr, err := newStream("stderr", &cfg)
	if err != nil {
		return nil, errors.Join(err, stdout.close())
	}
	return &Output{stdout: stdout, stderr: stderr}, nil
}

// Stdout is the process's standard output, until Begin.
func (o *Output) Stdout() *os.File { return o.stdout.w }

// Stderr is the process's standard error, until Begin.
func (o *Output) Stderr() *os.File { return o.stderr.w }

// Begin gives up the process's ends, which it has inherited by now, and starts
// to read. It is called once.
func (o *Output) Begin() {
	o.stdout.closeWriter()
	o.stderr.closeWriter()
	o.running.Go(o.stdout.run)
	o.running.Go(o.stderr.run)
}

// Drain hands over all that was written before the call, a last line without
// its end included. It is on the path of every invocation, most of which write
// nothing: one system call says so for both pipes.
func (o *Output) Drain() {
	pipes := [2]unix.PollFd{{Fd: o.stdout.fd, Events: unix.POLLIN}, {Fd: o.stderr.fd, Events: unix.POLLIN}}
	// A number that is another file's by now says something wrong about a pipe that
	// is closed and has nothing to hand over.
	_, err := unix.Poll(pipes[:], 0)
	o.stdout.drain(err != nil || pipes[0].Revents != 0)
	o.stderr.drain(err != nil || pipes[1].Revents != 0)
}

// Close stops reading and frees the pipes. What nobody has read is lost: see
// Drain. After an error it must not be called again.
func (o *Output) Close() error {
	err := errors.Join(o.stdout.close(), o.stderr.close())
	o.running.Wait()
	return err
}
