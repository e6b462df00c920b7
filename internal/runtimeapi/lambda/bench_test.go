package lambda_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mayfly.dev/mayfly/internal/invocation"
)

// api is one execution environment's Runtime API, seen from both sides.
type api interface {
	// invoke has the runtime run one invocation.
	invoke(ctx context.Context, inv *invocation.Invocation) error
	addr() string
}

// BenchmarkRuntimeAPI runs the loop of a runtime that does nothing, GET /next and
// POST /response, against ours and against what net/http makes of it, for one
// environment and for 64 at once. The runtime is the same lean client on both
// sides.
func BenchmarkRuntimeAPI(b *testing.B) {
	for _, n := range []int{1, 64} {
		for _, server := range []struct {
			name string
			new  func(b *testing.B) api
		}{{"net-http", newPlain}, {"ours", newOurs}} {
			b.Run(server.name+"/"+strconv.Itoa(n), func(b *testing.B) { loops(b, n, server.new) })
		}
	}
}

func loops(b *testing.B, n int, newAPI func(b *testing.B) api) {
	b.Helper()
	apis := make([]api, n)
	for i := range apis {
		apis[i] = newAPI(b)
		conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", apis[i].addr())
		if err != nil {
			b.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); idle(conn) }()
		b.Cleanup(func() { conn.Close(); <-ended })
	}
	inv := call("b-1", `{"n":1}`)
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i, a := range apis {
		rounds := b.N / n
		if i < b.N%n {
			rounds++
		}
		wg.Go(func() {
			for range rounds {
				if err := a.invoke(b.Context(), inv); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// idle is a runtime that asks and answers until its connection ends.
func idle(conn net.Conn) {
	next := []byte(request("GET", apiPath+"invocation/next", ""))
	answer := []byte(request("POST", apiPath+"invocation/b-1/response", `{"n":1}`, "Content-Type: application/json"))
	r := bufio.NewReader(conn)
	for {
		for _, sent := range [][]byte{next, answer} {
			if _, err := conn.Write(sent); err != nil {
				return
			}
			if err := skipReply(r); err != nil {
				return
			}
		}
	}
}

// skipReply reads a response with a length.
func skipReply(r *bufio.Reader) error {
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == len("\r\n") {
			_, err = r.Discard(length)
			return err
		}
		if rest, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(rest)); err != nil {
				return err
			}
		}
	}
}

// ours is a session.
type ours struct {
	*pretend
	run func(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)
}

func newOurs(b *testing.B) api {
	b.Helper()
	s, p, _ := play(b)
	return &ours{p, s.Invoke}
}

func (o *ours) addr() string { return o.api() }

func (o *ours) invoke(ctx context.Context, inv *invocation.Invocation) error {
	_, err := o.run(ctx, inv)
	return err
}

// plain is the same with a server of net/http.
type plain struct {
	ln      net.Listener
	asked   chan *invocation.Invocation
	answers chan []byte
}

func newPlain(b *testing.B) api {
	b.Helper()
	ln, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	p := &plain{ln: ln, asked: make(chan *invocation.Invocation), answers: make(chan []byte)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+apiPath+"invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case inv := <-p.asked:
			h := w.Header()
			h.Set("Content-Type", "application/json")
			h.Set("Lambda-Runtime-Aws-Request-Id", inv.ID)
			h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.Deadline.UnixMilli(), 10))
			h.Set("Lambda-Runtime-Invoked-Function-Arn", inv.ARN)
			h.Set("Lambda-Runtime-Trace-Id", inv.TraceID)
			_, _ = w.Write(inv.Payload)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST "+apiPath+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		p.answers <- body
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"status":"OK"}`+"\n")
	})
	srv := &http.Server{Handler: mux}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = srv.Serve(ln) }()
	b.Cleanup(func() { srv.Close(); <-ended })
	return p
}

func (p *plain) addr() string { return p.ln.Addr().String() }

func (p *plain) invoke(_ context.Context, inv *invocation.Invocation) error {
	p.asked <- inv
	<-p.answers
	return nil
}
