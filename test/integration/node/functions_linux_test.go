package node_test

import (
	"archive/zip"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"testing"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

//go:embed testdata
var programs embed.FS

// languages are the ways to run a function: program is the file in testdata.
var languages = map[string]struct{ program, runtime, handler string }{
	"node":   {"index.js", "nodejs18.x", "index.handler"},
	"python": {"app.py", "python3.10", "app.handler"},
	"custom": {"bootstrap", "provided.al2023", ""},
}

// packed is a zip file with a program of testdata.
func packed(t *testing.T, program string) []byte {
	t.Helper()
	source, err := programs.ReadFile("testdata/" + program)
	if err != nil {
		t.Fatal(err)
	}
	return zipped(t, program, source)
}

func zipped(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	header.SetMode(0o755)
	w, err := z.CreateHeader(header)
	if err == nil {
		_, err = w.Write(content)
	}
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// put uploads code and makes or changes a function with it.
func (n *node) put(ctx context.Context, name string, archive []byte, s wire.Settings, opts client.PutOptions) (wire.Function, error) {
	code, err := n.PutCode(ctx, bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return wire.Function{}, fmt.Errorf("upload: %w", err)
	}
	f, _, err := n.PutFunction(ctx, name, wire.FunctionSpec{Settings: s, Code: &code}, opts)
	return f, err
}

// deploy makes a function of a language. What settings leaves out is the
// language's.
func (n *node) deploy(t *testing.T, name, language string, s wire.Settings) wire.Function {
	t.Helper()
	l := languages[language]
	s.Runtime = l.runtime
	if s.Handler == "" {
		s.Handler = l.handler
	}
	if s.TimeoutSeconds == 0 {
		s.TimeoutSeconds = 60
	}
	f, err := n.put(t.Context(), name, packed(t, l.program), s, client.PutOptions{})
	if err != nil {
		t.Fatalf("deploy %s: %v", name, err)
	}
	return f
}

// call invokes a function whose payload is given as JSON; the platform must not
// fail.
func (n *node) call(t *testing.T, name, payload string) *client.Result {
	t.Helper()
	r, err := n.Invoke(t.Context(), name, []byte(payload), client.InvokeOptions{LogTail: true})
	if err != nil {
		t.Fatalf("invoke %s with %.80s: %v", name, payload, err)
	}
	return r
}

// want calls a function that must return result.
func (n *node) want(t *testing.T, name, payload, result string) *client.Result {
	t.Helper()
	r := n.call(t, name, payload)
	if r.FunctionError != "" || string(r.Payload) != result {
		t.Errorf("%s returned %s %.200s, want %.200s", name, r.FunctionError, r.Payload, result)
	}
	return r
}

// wantFault fails the test unless err is the platform's error of that reason.
func wantFault(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if !fault.Is(err, kind, reason) {
		t.Errorf("got %v, want %s %s", err, kind, reason)
	}
}
