package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// serveArgument makes this program the direct server in Go.
const serveArgument = "serve-hello"

// serveHello serves hello with net/http.
func serveHello() error {
	return serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "hello")
	}))
}

// serve serves h with net/http until standard input ends, after it has printed its
// address.
func serve(h http.Handler) error {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, l.Addr())
	go endWithInput() // ends with the process
	return (&http.Server{ReadHeaderTimeout: time.Minute, Handler: h}).Serve(l)
}

// endWithInput ends the process when standard input does, and with it whoever
// started the process.
func endWithInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// direct is a server that functions are compared with, in a process of its own.
type direct struct {
	target
	pid    int
	cmd    *exec.Cmd
	cancel context.CancelFunc
}

// startDirect runs a server that prints its address.
func startDirect(ctx context.Context, program string, args ...string) (*direct, error) {
	running, cancel := context.WithCancel(ctx)
	s := &direct{cmd: exec.CommandContext(running, program, args...), cancel: cancel} //nolint:gosec // this program and interpreters that were found
	if _, err := s.cmd.StdinPipe(); err != nil {                                      // which ends with us
		cancel()
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	s.pid = s.cmd.Process.Pid
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("the direct server %s says no address: %w", program, err)
	}
	s.address = strings.TrimSpace(line)
	s.host = s.address
	return s, nil
}

// stop kills the server.
func (s *direct) stop() {
	s.cancel()
	_ = s.cmd.Wait() // it was killed
}
