package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/lambda"
	"mayfly.dev/mayfly/internal/sandbox"
)

const (
	// loopClients is how many runtimes loop at once.
	loopClients   = 64
	loopsArgument = "runtimes"
	apiPath       = "/2018-06-01/runtime/invocation/"
)

// runtimeAPI compares the platform's Runtime API with one of net/http: the same
// process runs the loops of 64 runtimes in Go, GET next and POST response, against
// the one or the other, which this process serves and calls.
func (b *bench) runtimeAPI(ctx context.Context) (*Table, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var sides [2][]invoker
	for i, open := range []func(context.Context) (invoker, string, func() error, error){openSession, openPlain} {
		var addresses []string
		for range loopClients {
			api, address, closeAPI, err := open(ctx)
			if err != nil {
				return nil, err
			}
			defer closeAPI() //nolint:errcheck // it has done what it was for
			sides[i], addresses = append(sides[i], api), append(addresses, address)
		}
		runtimes, err := startDirect(ctx, self, append([]string{loopsArgument}, addresses...)...)
		if err != nil {
			return nil, err
		}
		defer runtimes.stop()
	}
	t := &Table{
		Title:   "The Lambda Runtime API's loop with runtimes in Go",
		Columns: []Column{{"runtimes", ""}, {"a call", "µs"}, {"rate", "/s"}},
	}
	for _, n := range []int{1, loopClients} {
		times, err := interleave(ctx, b.rounds(8), loop(sides[0][:n]), loop(sides[1][:n]))
		if err != nil {
			return nil, err
		}
		for i, name := range []string{"mayfly", "net/http"} {
			d := median(times[i])
			t.row(name, map[string]float64{"runtimes": float64(n), "a call": microseconds(d * time.Duration(n)), "rate": 1 / d.Seconds()})
		}
		if n == loopClients {
			g := b.atLeast("runtime-api", "warm Runtime API path, 64 clients, Go: rate to net/http's", "×", float64(median(times[1]))/float64(median(times[0])), 1.4)
			g.Note = fmt.Sprintf("%.0f calls a second", 1/median(times[0]).Seconds())
		}
	}
	return t, nil
}

// invoker has one runtime run an invocation.
type invoker interface {
	Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)
}

// loop is the contestant that calls each runtime as soon as it has answered; its
// time is the span of one call.
func loop(runtimes []invoker) contestant {
	return func(ctx context.Context) (time.Duration, error) {
		const span = 300 * time.Millisecond
		var calls atomic.Int64
		var all sync.WaitGroup
		errs := make([]error, len(runtimes))
		begun := time.Now()
		for i, r := range runtimes {
			all.Go(func() {
				for n := 0; errs[i] == nil && time.Since(begun) < span; n++ {
					_, errs[i] = r.Invoke(ctx, &invocation.Invocation{
						ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n), ARN: "arn:aws:lambda:us-east-1:000000000000:function:hello",
						Payload: []byte(`{"name":"world"}`), Deadline: time.Now().Add(time.Minute),
					})
					calls.Add(1)
				}
			})
		}
		all.Wait()
		return time.Since(begun) / time.Duration(calls.Load()), errors.Join(errs...)
	}
}

// openSession opens a session of the platform's with a sandbox in which nothing
// runs: its runtime is elsewhere.
func openSession(ctx context.Context) (invoker, string, func() error, error) {
	room := &emptyRoom{done: make(chan struct{})}
	s, err := lambda.New(lambda.Config{}).Launch(ctx, room, runtimeapi.Launch{Environment: "bench", Output: func(runtimeapi.Line) {}})
	if err != nil {
		return nil, "", nil, err
	}
	return s, room.address, func() error {
		close(room.done)
		return s.Close()
	}, nil
}

// emptyRoom is a sandbox and its process, of which only the listener is real.
type emptyRoom struct {
	address string
	done    chan struct{}
}

var (
	_ sandbox.Sandbox = (*emptyRoom)(nil)
	_ sandbox.Process = (*emptyRoom)(nil)
)

func (*emptyRoom) ID() string                    { return "bench" }
func (*emptyRoom) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, nil }
func (*emptyRoom) Destroy(context.Context) error { return nil }
func (*emptyRoom) PID() int                      { return 0 }
func (r *emptyRoom) Done() <-chan struct{}       { return r.done }
func (*emptyRoom) Exit() sandbox.Exit            { return sandbox.Exit{} }
func (*emptyRoom) Signal(os.Signal) error        { return nil }

// Start starts nothing.
func (r *emptyRoom) Start(context.Context, sandbox.Command) (sandbox.Process, error) { return r, nil }

// Listen listens on the machine's loopback.
func (r *emptyRoom) Listen(ctx context.Context, _ string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err == nil {
		r.address = l.Addr().String()
	}
	return l, err
}

// plain is a Runtime API as one would write it with net/http.
type plain struct {
	asked   chan *invocation.Invocation
	answers chan []byte
}

func openPlain(ctx context.Context) (invoker, string, func() error, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, err
	}
	p := &plain{asked: make(chan *invocation.Invocation), answers: make(chan []byte)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+apiPath+"next", p.next)
	mux.HandleFunc("POST "+apiPath+"{id}/response", p.response)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return p, l.Addr().String(), func() error {
		err := server.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}, nil
}

func (p *plain) next(w http.ResponseWriter, r *http.Request) {
	select {
	case inv := <-p.asked:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.ID)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.Deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", inv.ARN)
		_, _ = w.Write(inv.Payload)
	case <-r.Context().Done():
	}
}

func (p *plain) response(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	select {
	case p.answers <- body:
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`+"\n")
}

// Invoke hands the invocation to the runtime and waits for its answer.
func (p *plain) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	select {
	case p.asked <- inv:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case body := <-p.answers:
		return &invocation.Result{Payload: body}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// runLoops runs a runtime's loop against each address until standard input ends.
func runLoops(addresses []string) error {
	fmt.Fprintln(os.Stdout, "ready")
	var all sync.WaitGroup
	for _, address := range addresses {
		var d net.Dialer
		c, err := d.DialContext(context.Background(), "tcp", address)
		if err != nil {
			return err
		}
		all.Go(func() { runLoop(c) })
	}
	endWithInput()
	return nil
}

// runLoop asks for invocations and answers them until the connection ends.
func runLoop(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		if _, err := io.WriteString(c, "GET "+apiPath+"next HTTP/1.1\r\nHost: runtime\r\n\r\n"); err != nil {
			return
		}
		id, err := readReply(r)
		if err != nil {
			return
		}
		const body = `{"hello":"world"}`
		if _, err := io.WriteString(c, "POST "+apiPath+id+"/response HTTP/1.1\r\nHost: runtime\r\nContent-Type: application/json\r\nContent-Length: "+
			strconv.Itoa(len(body))+"\r\n\r\n"+body); err != nil {
			return
		}
		if _, err := readReply(r); err != nil {
			return
		}
	}
}

// readReply reads a response with a length and returns the invocation's id.
func readReply(r *bufio.Reader) (id string, err error) {
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if len(line) == len("\r\n") {
			_, err = r.Discard(length)
			return id, err
		}
		name, value, _ := strings.Cut(string(line), ":")
		switch strings.ToLower(name) {
		case "content-length":
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return "", err
			}
		case "lambda-runtime-aws-request-id":
			id = strings.TrimSpace(value)
		}
	}
}
