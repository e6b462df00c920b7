package native_test

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"testing"

	"mayfly.dev/mayfly/internal/api/native"
	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// openCatalog returns a real catalog that runs until the test ends.
func openCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Open(t.Context(), catalog.Config{Engine: e, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Run(ctx) }() // it ends with ctx
	t.Cleanup(func() {
		cancel()
		<-ended
		if err := c.Close(); err != nil {
			t.Errorf("close catalog: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	return c
}

func zipped(t *testing.T, name, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(f, content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestLifeOfAFunctionInTheRealCatalog goes through what the fakes can't show:
// that a put has settled, and the catalog's own faults.
func TestLifeOfAFunctionInTheRealCatalog(t *testing.T) {
	server := httptest.NewServer(native.New(native.Config{
		Functions: openCatalog(t), Runtimes: runtimes{}, Keys: keys{}, Region: "us-east-1",
		Account:  func(string) string { return function.DefaultAccount },
		NewURLID: catalog.NewURLID, URLAddress: func(id string) string { return "http://" + id + ".localhost:8080/" },
	}))
	t.Cleanup(server.Close)
	b := &bench{server: server}
	c := b.newClient(t, token)
	ctx := t.Context()

	if _, err := c.PutCode(ctx, bytes.NewReader([]byte("no zip")), 6); !fault.Is(err, fault.Invalid, "CorruptPackage") {
		t.Errorf("corrupt code: got %v, want CorruptPackage", err)
	}
	first := zipped(t, "index.js", "exports.handler = () => 1")
	code, err := c.PutCode(ctx, bytes.NewReader(first), int64(len(first)))
	if err != nil {
		t.Fatal(err)
	}
	spec := wire.FunctionSpec{Settings: wire.Settings{Runtime: "nodejs22.x", Handler: "index.handler"}, Code: &code}
	f, created, err := c.PutFunction(ctx, "hello", spec, client.PutOptions{})
	if err != nil || !created || f.State != "Active" {
		t.Fatalf("create: got %+v, created %t, %v", f, created, err)
	}
	again, created, err := c.PutFunction(ctx, "hello", spec, client.PutOptions{Revision: f.Revision})
	if err != nil || created || again.Revision != f.Revision {
		t.Errorf("the same again: got %+v, created %t, %v", again, created, err)
	}

	second := zipped(t, "index.js", "exports.handler = () => 2")
	code2, err := c.PutCode(ctx, bytes.NewReader(second), int64(len(second)))
	if err != nil {
		t.Fatal(err)
	}
	spec.Code, spec.Tags = &code2, map[string]string{"team": "a"}
	f, _, err = c.PutFunction(ctx, "hello", spec, client.PutOptions{})
	if err != nil || f.Updating || f.Code != code2 || f.Tags["team"] != "a" {
		t.Fatalf("update: got %+v, %v", f, err)
	}
	body, _, err := c.Code(ctx, "hello")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, second) {
		t.Errorf("code: got %d bytes, %v, want the second package", len(got), err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	if u, err := c.PutURL(ctx, "hello", wire.URLSpec{}); err != nil || len(u.ID) != 32 {
		t.Errorf("url: got %+v, %v", u, err)
	}
	if err := c.DeleteFunction(ctx, "hello"); err != nil {
		t.Error(err)
	}
	if _, err := c.Function(ctx, "hello"); !fault.Is(err, fault.NotFound, "FunctionNotFound") {
		t.Errorf("after deletion: got %v, want FunctionNotFound", err)
	}
}
