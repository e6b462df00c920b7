package node_test

import (
	"embed"
	"testing"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/test/nodetest"
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
	return nodetest.Zipped(t, program, source)
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
	f, err := n.Put(t.Context(), name, packed(t, l.program), s, client.PutOptions{})
	if err != nil {
		t.Fatalf("deploy %s: %v", name, err)
	}
	return f
}
