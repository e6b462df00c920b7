package native_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

func TestFunctionIsCreatedWithDefaults(t *testing.T) {
	b := newBench(t)
	put := b.deploy(t)
	got, err := b.client.Function(t.Context(), "hello")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(put, got); diff != "" {
		t.Errorf("get differs from put (-put +get):\n%s", diff)
	}
	want := wire.Settings{
		Runtime: "nodejs22.x", Handler: "index.handler", Architecture: "x86_64", MemoryMB: 128,
		TimeoutSeconds: 3, EphemeralMB: 512, Egress: &wire.Egress{Mode: "internet"},
		TracingMode: "PassThrough", LogFormat: "Text",
	}
	if diff := cmp.Diff(want, got.Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if got.ARN != "arn:aws:lambda:us-east-1:000000000000:function:hello" || got.State != "Active" || got.Code.SizeBytes != 13 {
		t.Errorf("got %+v", got)
	}
}

func TestPutIsIdempotent(t *testing.T) {
	b := newBench(t)
	first := b.deploy(t)
	again, created, err := b.client.PutFunction(t.Context(), "hello", wire.FunctionSpec{Settings: first.Settings}, client.PutOptions{})
	if err != nil || created || again.Revision != first.Revision {
		t.Errorf("same settings: got revision %s, created %t, %v, want %s", again.Revision, created, err, first.Revision)
	}
	changed := first.Settings
	changed.TimeoutSeconds = 1.5
	changed.Env = map[string]string{"MODE": "x"}
	changed.Concurrency, changed.MinEnvironments, changed.MaxEnvironments = 10, 1, 4
	changed.QueueTimeoutSeconds, changed.IdleTimeoutSeconds = 20, 0.5
	after, _, err := b.client.PutFunction(t.Context(), "hello", wire.FunctionSpec{Settings: changed, Tags: map[string]string{"team": "a"}}, client.PutOptions{Revision: first.Revision})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(changed, after.Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if after.Revision == first.Revision || after.Code != first.Code || after.Tags["team"] != "a" {
		t.Errorf("changed settings: got %+v", after)
	}
	_, _, err = b.client.PutFunction(t.Context(), "hello", wire.FunctionSpec{Settings: first.Settings}, client.PutOptions{Revision: first.Revision})
	if !fault.Is(err, fault.Conflict, "RevisionMismatch") {
		t.Errorf("stale revision: got %v, want RevisionMismatch", err)
	}
}

func TestPutWarnsOfANearestNewerInterpreter(t *testing.T) {
	b := newBench(t)
	f := b.deploy(t)
	f.Settings.Runtime = "python3.9"
	f, _, err := b.client.PutFunction(t.Context(), "hello", wire.FunctionSpec{Settings: f.Settings}, client.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"python3.9 is served by Python 3.11.2"}, f.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestPutRefuses(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	good := wire.Settings{Runtime: "nodejs22.x", Handler: "index.handler"}
	with := func(change func(*wire.Settings)) wire.FunctionSpec {
		s := good
		change(&s)
		return wire.FunctionSpec{Settings: s}
	}
	for _, c := range []struct {
		name, function string
		spec           wire.FunctionSpec
		opts           client.PutOptions
		kind           fault.Kind
		reason         string
	}{
		{"no code", "new", wire.FunctionSpec{Settings: good}, client.PutOptions{}, fault.Invalid, "CodeMissing"},
		{"bad name", "a b", wire.FunctionSpec{Settings: good}, client.PutOptions{}, fault.Invalid, "FunctionName"},
		{"slash in the name", "a/b", wire.FunctionSpec{Settings: good}, client.PutOptions{}, fault.Invalid, "FunctionName"},
		{"no runtime", "hello", with(func(s *wire.Settings) { s.Runtime = "" }), client.PutOptions{}, fault.Invalid, "Runtime"},
		{"missing interpreter", "hello", with(func(s *wire.Settings) { s.Runtime = "ruby3.4" }), client.PutOptions{}, fault.Unsupported, "RuntimeNotFound"},
		{"memory", "hello", with(func(s *wire.Settings) { s.MemoryMB = 1 }), client.PutOptions{}, fault.Invalid, "MemorySize"},
		{"concurrency", "hello", with(func(s *wire.Settings) { s.Concurrency = 1001 }), client.PutOptions{}, fault.Invalid, "Concurrency"},
		{"environments", "hello", with(func(s *wire.Settings) { s.MinEnvironments, s.MaxEnvironments = 2, 1 }), client.PutOptions{}, fault.Invalid, "MinEnvironments"},
		{"queue timeout", "hello", with(func(s *wire.Settings) { s.QueueTimeoutSeconds = 901 }), client.PutOptions{}, fault.Invalid, "QueueTimeout"},
		{"huge timeout", "hello", with(func(s *wire.Settings) { s.TimeoutSeconds = 1e300 }), client.PutOptions{}, fault.Invalid, "Timeout"},
		{"unknown architecture", "hello", with(func(s *wire.Settings) { s.Architecture = "mips" }), client.PutOptions{}, fault.Invalid, "InvalidRequest"},
		{"no such code", "hello", wire.FunctionSpec{Settings: good, Code: &wire.Code{SHA256: strings.Repeat("a", 64)}}, client.PutOptions{}, fault.NotFound, "CodeNotFound"},
		{"bad digest", "hello", wire.FunctionSpec{Settings: good, Code: &wire.Code{SHA256: "x", SizeBytes: 1}}, client.PutOptions{}, fault.Invalid, "InvalidRequest"},
		{"exists", "hello", wire.FunctionSpec{Settings: good}, client.PutOptions{CreateOnly: true}, fault.AlreadyExists, "FunctionExists"},
		{"revision of nothing", "new", wire.FunctionSpec{Settings: good}, client.PutOptions{Revision: "r1"}, fault.NotFound, "FunctionNotFound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := b.client.PutFunction(t.Context(), c.function, c.spec, c.opts)
			if !fault.Is(err, c.kind, c.reason) {
				t.Errorf("got %v, want %s %s", err, c.kind, c.reason)
			}
		})
	}
}

func TestPutLooksAgainWhenAnotherCreatedTheFunction(t *testing.T) {
	b := newBench(t)
	f := b.deploy(t)
	b.functions.mu.Lock()
	b.functions.next = fault.New(fault.NotFound, "FunctionNotFound", "gone in between")
	b.functions.mu.Unlock()
	f.Settings.MemoryMB = 256
	got, created, err := b.client.PutFunction(t.Context(), "hello", wire.FunctionSpec{Settings: f.Settings}, client.PutOptions{})
	if err != nil || created || got.Settings.MemoryMB != 256 {
		t.Errorf("got %+v, created %t, %v", got.Settings, created, err)
	}
}

func TestPutReportsWhatCouldNotBePrepared(t *testing.T) {
	b := newBench(t)
	f := b.deploy(t)
	b.functions.mu.Lock()
	b.functions.failure = "the disk is full"
	b.functions.mu.Unlock()
	f.Settings.MemoryMB = 256
	_, _, err := b.client.PutFunction(t.Context(), "hello", wire.FunctionSpec{Settings: f.Settings}, client.PutOptions{})
	if !fault.Is(err, fault.Unavailable, "PrepareFailed") || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("got %v, want PrepareFailed with the cause", err)
	}
}

func TestPutWithoutWaitIsAccepted(t *testing.T) {
	b := newBench(t)
	b.functions.unsettled = true
	code, err := b.client.PutCode(t.Context(), strings.NewReader("zip"), 3)
	if err != nil {
		t.Fatal(err)
	}
	resp := b.raw(t, http.MethodPut, "/v1/namespaces/default/functions/slow?wait=false", token,
		`{"settings":{"runtime":"provided.al2023"},"code":{"sha256":"`+code.SHA256+`","sizeBytes":999}}`)
	if resp.status != http.StatusAccepted || resp.header.Get("ETag") != `"r1"` {
		t.Errorf("got %d with ETag %s, want 202 with the revision", resp.status, resp.header.Get("ETag"))
	}
	if !strings.Contains(string(resp.body), `"sizeBytes":3`) {
		t.Errorf("got %s, want the true size of the code", resp.body)
	}
}

func TestFunctionsAreListedInPages(t *testing.T) {
	b := newBench(t)
	f := b.deploy(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		if _, _, err := b.client.PutFunction(t.Context(), name, wire.FunctionSpec{Settings: f.Settings, Code: &f.Code}, client.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for after, pages := "", 0; pages < 9; pages++ {
		page, err := b.client.FunctionPage(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Functions {
			names = append(names, f.Name)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "hello"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	var all int
	for _, err := range b.client.Functions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all++
	}
	if all != 5 {
		t.Errorf("all: got %d functions, want 5", all)
	}
	for _, after := range []string{"x", "bDoxMg", "!!"} {
		if _, err := b.client.FunctionPage(t.Context(), after, 2); !fault.Is(err, fault.Invalid, "Cursor") {
			t.Errorf("cursor %q: got %v, want Invalid", after, err)
		}
	}
}

func TestCodeComesBackAsItWasUploaded(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	zip, size, err := b.client.Code(t.Context(), "hello")
	if err != nil {
		t.Fatal(err)
	}
	defer zip.Close()
	got, err := io.ReadAll(zip)
	if err != nil || string(got) != "PK a zip file" || size != int64(len(got)) {
		t.Errorf("got %q of %d bytes, %v", got, size, err)
	}
}

func TestCodeThatIsTooLargeIsRefused(t *testing.T) {
	b := newBench(t)
	const size = 52428801
	_, err := b.client.PutCode(t.Context(), io.LimitReader(zeros{}, size), size)
	if !fault.Is(err, fault.TooLarge, "PackageTooLarge") {
		t.Errorf("with its size: got %v, want PackageTooLarge", err)
	}
	_, err = b.client.PutCode(t.Context(), io.LimitReader(zeros{}, size), -1)
	if !fault.Is(err, fault.TooLarge, "PackageTooLarge") {
		t.Errorf("chunked: got %v, want PackageTooLarge", err)
	}
}

// zeros reads as zero bytes without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestCatalogsFaultAboutCodeReachesTheCaller(t *testing.T) {
	b := newBench(t)
	b.functions.next = fault.New(fault.Invalid, "CorruptPackage", "the zip file is damaged")
	_, err := b.client.PutCode(t.Context(), bytes.NewReader([]byte("x")), 1)
	if !fault.Is(err, fault.Invalid, "CorruptPackage") {
		t.Errorf("got %v, want CorruptPackage", err)
	}
}

func TestURLKeepsItsIDUntilItIsDeleted(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	u, err := b.client.PutURL(t.Context(), "hello", wire.URLSpec{})
	if err != nil {
		t.Fatal(err)
	}
	if u.ID != "abc" || u.Address != "http://abc.localhost:8080/" || u.AuthType != "NONE" || u.InvokeMode != "BUFFERED" {
		t.Errorf("got %+v", u)
	}
	v, err := b.client.PutURL(t.Context(), "hello", wire.URLSpec{AuthType: "AWS_IAM", CORS: &wire.CORS{AllowOrigins: []string{"*"}}})
	if err != nil {
		t.Fatal(err)
	}
	if v.ID != u.ID || !v.Created.Equal(u.Created) || v.AuthType != "AWS_IAM" || v.CORS == nil {
		t.Errorf("changed: got %+v", v)
	}
	if _, err := b.client.PutURL(t.Context(), "hello", wire.URLSpec{AuthType: "MAYBE"}); !fault.Is(err, fault.Invalid, "InvalidRequest") {
		t.Errorf("unknown auth type: got %v, want Invalid", err)
	}
	if err := b.client.DeleteURL(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	if f, err := b.client.Function(t.Context(), "hello"); err != nil || f.URL != nil {
		t.Errorf("after deletion: got %+v, %v", f.URL, err)
	}
}

func TestConcurrencyIsReservedAndReleased(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	if err := b.client.PutConcurrency(t.Context(), "hello", 0); err != nil {
		t.Fatal(err)
	}
	if f, err := b.client.Function(t.Context(), "hello"); err != nil || f.ReservedConcurrency == nil || *f.ReservedConcurrency != 0 {
		t.Errorf("got %v, %v, want 0", f.ReservedConcurrency, err)
	}
	if err := b.client.PutConcurrency(t.Context(), "hello", -1); !fault.Is(err, fault.Invalid, "InvalidRequest") {
		t.Errorf("negative: got %v, want Invalid", err)
	}
	if err := b.client.DeleteConcurrency(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	if f, err := b.client.Function(t.Context(), "hello"); err != nil || f.ReservedConcurrency != nil {
		t.Errorf("after deletion: got %v, %v, want none", f.ReservedConcurrency, err)
	}
}

func TestFunctionIsDeleted(t *testing.T) {
	b := newBench(t)
	b.deploy(t)
	if err := b.client.DeleteFunction(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	if err := b.client.DeleteFunction(t.Context(), "hello"); !fault.Is(err, fault.NotFound, "FunctionNotFound") {
		t.Errorf("again: got %v, want FunctionNotFound", err)
	}
}
