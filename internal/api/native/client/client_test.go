package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve returns a client of a server that answers with h.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(h)
	c, err := client.New(client.Config{Endpoint: server.URL + "/base/", Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); server.Close() })
	return c
}

func TestEndpointMustBeAURL(t *testing.T) {
	for _, endpoint := range []string{"127.0.0.1:9000", "ftp://x", "http://", "http://a b"} {
		if _, err := client.New(client.Config{Endpoint: endpoint}); !fault.Is(err, fault.Invalid, "Endpoint") {
			t.Errorf("%q: got %v, want Invalid", endpoint, err)
		}
	}
	c, err := client.New(client.Config{})
	if err != nil || c.Endpoint() != client.DefaultEndpoint {
		t.Errorf("default: got %v, %v", c, err)
	}
}

func TestNodeThatIsNotThere(t *testing.T) {
	// A listener that is closed again: nothing answers at its address.
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c, err := client.New(client.Config{Endpoint: "http://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Node(t.Context())
	if !fault.Is(err, fault.Unavailable, "NodeUnreachable") || !strings.Contains(err.Error(), "mayfly up") {
		t.Errorf("got %v, want NodeUnreachable and what to do", err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err = c.Node(ctx); !errors.Is(err, cause) {
		t.Errorf("cancelled: got %v, want the cause", err)
	}
}

func TestNamesAndTokenTravelAsTheyAre(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.URL.EscapedPath(), "/base/v1/namespaces/default/functions/a%2Fb%3Fc%20d"; got != want {
			t.Errorf("path: got %s, want %s", got, want)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer t" {
			t.Errorf("authorization: got %s", got)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if err := c.DeleteFunction(t.Context(), "a/b?c d"); err != nil {
		t.Error(err)
	}
}

func TestAnswersThatAreNotOurs(t *testing.T) {
	for _, c := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"page of a proxy", "text/html", "<html>bad gateway</html>", http.StatusBadGateway},
		{"broken problem", wire.ProblemType, "{", http.StatusNotFound},
		{"problem without a reason", wire.ProblemType, "{}", http.StatusNotFound},
		{"JSON of another server", "application/json", `[1]`, http.StatusOK},
		{"no JSON", "text/plain", "hello", http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.contentType)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			if _, err := cl.Node(t.Context()); !fault.Is(err, fault.Internal, "UnexpectedAnswer") {
				t.Errorf("got %v, want UnexpectedAnswer", err)
			}
		})
	}
}

func TestUploadIsReadOnceThroughTheCallersReader(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "zip" || r.ContentLength != 3 {
			t.Errorf("got %q of %d bytes, %v", body, r.ContentLength, err)
		}
		_, _ = io.WriteString(w, `{"sha256":"s","sizeBytes":3}`)
	})
	progress := &counter{Reader: strings.NewReader("zip")}
	code, err := c.PutCode(t.Context(), progress, 3)
	if err != nil || code != (wire.Code{SHA256: "s", SizeBytes: 3}) || progress.n != 3 {
		t.Errorf("got %+v after %d bytes, %v", code, progress.n, err)
	}
}

type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestStreamThatBreaksOff(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": hello\n\nevent: later\ndata: {}\n\nevent: line\nid: 1\ndata: {\"text\":\n"+
			"data: \"a\"}\n\nevent: line\ndata: {\"text\":\"cut\"}\n")
	})
	var got []string
	err := c.FollowLogs(t.Context(), "f", client.LogQuery{}, func(l wire.Line) error {
		got = append(got, l.Text)
		return nil
	})
	if !fault.Is(err, fault.Unavailable, "NodeUnreachable") || len(got) != 1 || got[0] != "a" {
		t.Errorf("got %q, %v, want one line and NodeUnreachable", got, err)
	}
}

func TestEventThatIsTooLarge(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "data: "+strings.Repeat("x", 3<<20)+"\n\n")
	})
	err := c.FollowLogs(t.Context(), "f", client.LogQuery{}, func(wire.Line) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "is larger than") {
		t.Errorf("got %v, want a bound", err)
	}
}
