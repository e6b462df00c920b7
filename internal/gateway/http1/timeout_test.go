package http1_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"mayfly.dev/mayfly/internal/gateway/http1"
)

// pipes is a listener whose connections are in memory, for tests in a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// inBubble runs fn with a client of a server whose time is the bubble's.
func inBubble(t *testing.T, h handler, fn func(t *testing.T, c net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		s := http1.New(http1.Config{Handler: h})
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		ours, theirs := net.Pipe()
		l.conns <- theirs
		fn(t, ours)
		ours.Close()
		s.Close()
		s.Wait()
		if err := <-served; !errors.Is(err, http1.ErrClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

// trickle sends text a byte a second until somebody stops listening, and returns
// how long that took and what came back.
func trickle(c net.Conn, text string) (time.Duration, string) {
	begun := time.Now()
	answer := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(c)
		answer <- string(b)
	}()
	for i := range len(text) {
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			break
		}
		time.Sleep(time.Second)
	}
	got := <-answer
	return time.Since(begun), got
}

func status(answer string) string {
	if len(answer) < 12 {
		return answer
	}
	return answer[9:12]
}

func TestSlowRequestsAreCutOff(t *testing.T) {
	padding := "X: " + string(make([]byte, 300))
	head := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
	tests := []struct {
		name, at, slow string
		within         time.Duration
		status         string
	}{
		{"no request", "", "", 10 * time.Second, ""},
		{"head", "G", "ET / HTTP/1.1\r\n" + padding, 11 * time.Second, "408"},
		{"body", head, string(make([]byte, 1000)), 62 * time.Second, "400"},
		{"between requests", get, "", 2 * time.Minute, "200"},
		{"second head", get, "GET / HTTP/1.1\r\n" + padding, 12 * time.Second, "200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, echo, func(t *testing.T, c net.Conn) {
				t.Helper()
				if tt.at != "" {
					if _, err := io.WriteString(c, tt.at); err != nil {
						t.Fatal(err)
					}
				}
				took, answer := trickle(c, tt.slow)
				if took > tt.within || took < tt.within*3/4 || status(answer) != tt.status {
					t.Errorf("after %s: %q; want status %s within %s", took, answer, tt.status, tt.within)
				}
			})
		})
	}
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	inBubble(t, func(_ context.Context, x *http1.Exchange) {
		x.Begin(http.StatusOK)
		x.End([]byte("hello"))
	}, func(t *testing.T, c net.Conn) {
		t.Helper()
		begun := time.Now()
		if _, err := io.WriteString(c, get); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(10 * time.Minute)
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("after %s: %q, %v", time.Since(begun), b, err)
		}
	})
}

func TestALongCallHasAnIdleTimeBehindIt(t *testing.T) {
	inBubble(t, func(_ context.Context, x *http1.Exchange) {
		time.Sleep(time.Hour)
		x.Begin(http.StatusNoContent)
		x.End(nil)
	}, func(t *testing.T, c net.Conn) {
		t.Helper()
		for range 3 {
			if _, err := io.WriteString(c, get); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 4096)
			if n, err := c.Read(b); err != nil || status(string(b[:n])) != "204" {
				t.Fatalf("got %q, %v", b[:n], err)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestAWatchOutlivesTheIdleTimeout(t *testing.T) {
	inBubble(t, func(ctx context.Context, x *http1.Exchange) {
		select {
		case <-ctx.Done():
			t.Errorf("the context ended: %v", context.Cause(ctx))
		case <-time.After(time.Hour):
		}
		x.Begin(http.StatusNoContent)
		x.End(nil)
	}, func(t *testing.T, c net.Conn) {
		t.Helper()
		for range 2 {
			if _, err := io.WriteString(c, get); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 4096)
			if n, err := c.Read(b); err != nil || status(string(b[:n])) != "204" {
				t.Fatalf("got %q, %v", b[:n], err)
			}
		}
	})
}
