package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/gateway"
	"mayfly.dev/mayfly/internal/gateway/http1"
	"mayfly.dev/mayfly/internal/invocation"
)

// hop compares the gateway with the standard library's reverse proxy in the same
// place: each is a process in front of another one that answers at once, which
// speaks frames over a Unix socket with the one, as runtimes do, and HTTP with the
// other.
func (b *bench) hop(ctx context.Context) (*Table, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(b.dir, "behind.sock")
	behind, err := startDirect(ctx, self, behindArgument, socket)
	if err != nil {
		return nil, err
	}
	defer behind.stop()
	ours, err := startDirect(ctx, self, hopArgument, socket)
	if err != nil {
		return nil, err
	}
	defer ours.stop()
	theirs, err := startDirect(ctx, self, proxyArgument, behind.address)
	if err != nil {
		return nil, err
	}
	defer theirs.stop()
	ours.host = hopID + ".localhost"
	const slice = 400 * time.Millisecond
	list := []contender{
		{target: ours.target, name: "the gateway", pid: ours.pid},
		{target: theirs.target, name: "httputil.ReverseProxy", pid: theirs.pid},
	}
	t := &Table{
		Title:   "One hop to a process that answers at once",
		Columns: []Column{{"connections", ""}, {"p50", "µs"}, {"p99", "µs"}, {"rate", "/s"}, {"processor of the hop", "µs"}},
	}
	for _, connections := range []int{few, 2 * many} {
		tallies := make([]*tally, len(list))
		for round := range b.rounds(8) + 1 {
			for i, c := range list {
				if round <= 1 {
					tallies[i] = &tally{}
				}
				if err := tallies[i].add(ctx, c, work{connections: connections, duration: slice}); err != nil {
					return nil, err
				}
			}
		}
		for i, c := range list {
			s := tallies[i]
			t.row(c.name, map[string]float64{
				"connections": float64(connections), "p50": microseconds(s.p50()), "p99": microseconds(quantile(s.latencies, 0.99)),
				"rate": s.rate(), "processor of the hop": microseconds(s.own()),
			})
		}
		if connections == few {
			b.atMost("hop-p50", "one gateway hop, 1 connection, p50 to httputil.ReverseProxy's in the same place", "×",
				float64(tallies[0].p50())/float64(tallies[1].p50()), 0.6)
		} else {
			b.atLeast("hop-rate", "the same, 64 connections, rate", "×", tallies[0].rate()/tallies[1].rate(), 2.5)
		}
	}
	return t, nil
}

const (
	behindArgument = "behind"
	hopArgument    = "hop"
	proxyArgument  = "proxy"
	hopID          = "hophophophophophophophophophopho"
)

// serveBehind answers frames on a Unix socket and HTTP on loopback.
func serveBehind(socket string) error {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "unix", socket)
	if err != nil {
		return err
	}
	go func() { // ends with the process
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerFrames(c)
		}
	}()
	return serveHello()
}

var hopAnswer = []byte(`{"statusCode":200,"headers":{"content-type":"text/plain"},"body":"hello"}`)

func answerFrames(c net.Conn) {
	buffer := make([]byte, maxAnswer)
	for {
		if _, err := readFrame(c, buffer); err != nil {
			return // the other side has ended
		}
		if writeFrame(c, hopAnswer) != nil {
			return
		}
	}
}

const frameHead = 4

func writeFrame(c net.Conn, payload []byte) error {
	head := binary.BigEndian.AppendUint32(make([]byte, 0, frameHead), uint32(len(payload)))
	buffers := net.Buffers{head, payload}
	_, err := buffers.WriteTo(c)
	return err
}

// readFrame reads a frame, which is the only one under way.
func readFrame(c net.Conn, buffer []byte) ([]byte, error) {
	n, err := io.ReadAtLeast(c, buffer, frameHead)
	if err != nil {
		return nil, err
	}
	end := frameHead + int(binary.BigEndian.Uint32(buffer))
	if end > len(buffer) {
		return nil, errors.New("a frame is too large")
	}
	if n < end {
		_, err = io.ReadFull(c, buffer[n:end])
	}
	return buffer[frameHead:end], err
}

// serveHop serves one function with the platform's gateway, whose invocations are
// frames on socket.
func serveHop(socket string) error {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h := &hopper{socket: socket, idle: make(chan net.Conn, 4*many)}
	g := gateway.New(gateway.Config{
		Functions: h, Invoker: h, Region: "us-east-1", Account: func(string) string { return function.DefaultAccount },
	})
	fmt.Fprintln(os.Stdout, l.Addr())
	go endWithInput() // ends with the process
	return http1.New(http1.Config{Handler: g}).Serve(l)
}

// hopper has one function and invokes it by frames.
type hopper struct {
	socket string
	idle   chan net.Conn
}

// FunctionByURL returns the function.
func (h *hopper) FunctionByURL(id string) (*function.Function, error) {
	if id != hopID {
		return nil, fault.New(fault.NotFound, "FunctionNotFound", "there is no function at %s", id)
	}
	return &function.Function{Namespace: "default", Name: "hop", URL: &function.URL{ID: hopID, AuthType: "NONE", InvokeMode: "BUFFERED"}}, nil
}

// Function knows no names.
func (h *hopper) Function(_, name string) (*function.Function, error) {
	return nil, fault.New(fault.NotFound, "FunctionNotFound", "there is no function %s", name)
}

// Invoke sends the payload and waits for the answer.
func (h *hopper) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	var c net.Conn
	select {
	case c = <-h.idle:
	default:
		var d net.Dialer
		var err error
		if c, err = d.DialContext(ctx, "unix", h.socket); err != nil {
			return nil, err
		}
	}
	if err := writeFrame(c, inv.Payload); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	answer, err := readFrame(c, make([]byte, 512))
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	h.idle <- c
	return &invocation.Result{Payload: answer, ContentType: "application/json"}, nil
}
