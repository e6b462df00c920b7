package native_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/api/native"
	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/pool"
	"mayfly.dev/mayfly/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "mf_token"

// functions is a catalog in memory.
type functions struct {
	mu        sync.Mutex
	byName    map[string]*function.Function
	code      map[string][]byte
	revisions int
	// next replaces the fault of the next call that changes something.
	next error
	// unsettled functions stay Pending until the caller gives up.
	unsettled bool
	failure   string
}

func (f *functions) take() error {
	err := f.next
	f.next = nil
	return err
}

func (f *functions) Function(namespace, name string) (*function.Function, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.function(namespace, name)
}

func (f *functions) function(namespace, name string) (*function.Function, error) {
	if fn, ok := f.byName[name]; ok && fn.Namespace == namespace {
		return fn, nil
	}
	return nil, fault.New(fault.NotFound, "FunctionNotFound", "there is no function %s", name)
}

func (f *functions) Functions(namespace, after string, limit int) (list []*function.Function, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fn := range f.byName {
		if fn.Namespace == namespace && fn.Name > after {
			list = append(list, fn)
		}
	}
	slices.SortFunc(list, func(a, b *function.Function) int { return strings.Compare(a.Name, b.Name) })
	return list[:min(limit, len(list))], len(list) > limit
}

func (f *functions) PutCode(_ context.Context, zip []byte) (function.Code, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.Sum256(zip)
	sha := hex.EncodeToString(sum[:])
	f.code[sha] = zip
	return function.Code{SHA256: sha, SizeBytes: int64(len(zip))}, f.take()
}

func (f *functions) CodeZip(_ context.Context, sha string) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	zip, ok := f.code[sha]
	if !ok {
		return nil, fault.New(fault.NotFound, "CodeNotFound", "there is no such code package")
	}
	return io.NopCloser(bytes.NewReader(zip)), nil
}

func (f *functions) Create(_ context.Context, n catalog.NewFunction) (*function.Function, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.take(); err != nil {
		return nil, err
	}
	now := time.Date(2026, 11, 22, 20, 45, 18, 0, time.UTC)
	fn := &function.Function{
		Namespace: n.Namespace, Name: n.Name, State: function.Active, Tags: n.Tags, Created: now,
		Latest: function.Version{
			Namespace: n.Namespace, Function: n.Name, Number: function.Latest, Settings: n.Settings, Code: n.Code,
			Revision: f.revision(), Modified: now,
		},
	}
	if f.unsettled {
		fn.State = function.Pending
	}
	f.byName[n.Name] = fn
	return fn, nil
}

func (f *functions) revision() string {
	f.revisions++
	return "r" + string(rune('0'+f.revisions))
}

func (f *functions) UpdateVersion(_ context.Context, namespace, name, revision string, change func(*function.Version) error) (*function.Function, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.take(); err != nil {
		return nil, err
	}
	fn, err := f.function(namespace, name)
	if err != nil {
		return nil, err
	}
	if revision != "" && revision != fn.Latest.Revision {
		return nil, fault.New(fault.Conflict, "RevisionMismatch", "the function has another revision")
	}
	c := fn.Clone()
	if err := change(&c.Latest); err != nil {
		return nil, err
	}
	c.Latest.Revision, c.UpdateFailure = f.revision(), f.failure
	f.byName[name] = c
	return c, nil
}

func (f *functions) Update(_ context.Context, namespace, name string, change func(*function.Function) error) (*function.Function, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn, err := f.function(namespace, name)
	if err != nil {
		return nil, err
	}
	c := fn.Clone()
	if err := change(c); err != nil {
		return nil, err
	}
	f.byName[name] = c
	return c, nil
}

func (f *functions) Delete(_ context.Context, namespace, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.function(namespace, name)
	delete(f.byName, name)
	return err
}

func (f *functions) Settled(_ context.Context, namespace, name string) (*function.Function, error) {
	return f.Function(namespace, name)
}

// invoker answers with what the test set.
type invoker struct {
	mu   sync.Mutex
	last *invocation.Invocation
	do   func(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)
}

func (i *invoker) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	i.mu.Lock()
	i.last = inv
	do := i.do
	i.mu.Unlock()
	return do(ctx, inv)
}

type environments struct{}

func (environments) Status(_, name string) []pool.Status {
	if name != "hello" {
		return nil
	}
	return []pool.Status{{ID: "e1", Version: function.Latest, Revision: "r1", State: "busy", Calls: 3, MemoryMB: 128}}
}

type runtimes struct{}

func (runtimes) Identifiers() []string {
	return []string{"nodejs22.x", "python3.9", "provided.al2023", "ruby3.4"}
}

func (runtimes) Interpreters() []language.Interpreter {
	return []language.Interpreter{{Family: language.Node, Version: "22.1.0", Path: "/usr/bin/node"}, {Family: language.Python, Version: "3.11.2", Path: "/usr/bin/python3.11"}}
}

func (r runtimes) Resolve(runtime string) (language.Resolution, error) {
	found := r.Interpreters()
	switch runtime {
	case "nodejs22.x":
		return language.Resolution{Runtime: runtime, Family: language.Node, Interpreter: found[0]}, nil
	case "python3.9":
		return language.Resolution{Runtime: runtime, Family: language.Python, Interpreter: found[1], Warning: "python3.9 is served by Python 3.11.2"}, nil
	case "provided.al2023":
		return language.Resolution{Runtime: runtime, Family: language.Provided}, nil
	default:
		return language.Resolution{}, fault.New(fault.Unsupported, "RuntimeNotFound", "no interpreter for %s was found", runtime)
	}
}

type keys struct{}

func (keys) ByToken(t string) (auth.Identity, bool) {
	switch t {
	case token:
		return auth.Identity{Name: "default", Namespace: function.DefaultNamespace}, true
	case "mf_other":
		return auth.Identity{Name: "other", Namespace: "other"}, true
	default:
		return auth.Identity{}, false
	}
}

// bench is an API with its surroundings.
type bench struct {
	functions *functions
	invoker   *invoker
	store     *telemetry.Store
	stopping  chan struct{}
	server    *httptest.Server
	client    *client.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	store, err := telemetry.Open(t.Context(), telemetry.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	b := &bench{
		functions: &functions{byName: map[string]*function.Function{}, code: map[string][]byte{}},
		invoker:   &invoker{}, store: store, stopping: make(chan struct{}),
	}
	b.server = httptest.NewServer(native.New(native.Config{
		Functions: b.functions, Invoker: b.invoker, Telemetry: store, Environments: environments{},
		Runtimes: runtimes{}, Keys: keys{}, Region: "us-east-1",
		Account:    func(string) string { return function.DefaultAccount },
		Node:       func(context.Context) wire.Node { return wire.Node{Version: "v0", Driver: "none"} },
		NewURLID:   func() string { return "abc" },
		URLAddress: func(id string) string { return "http://" + id + ".localhost:8080/" },
		Stopping:   b.stopping,
		Log:        slog.New(slog.NewTextHandler(t.Output(), nil)),
	}))
	b.client = b.newClient(t, token)
	t.Cleanup(func() {
		b.server.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("store: %v", err)
		}
	})
	return b
}

func (b *bench) newClient(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Endpoint: b.server.URL, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// deploy puts a function named hello.
func (b *bench) deploy(t *testing.T) wire.Function {
	t.Helper()
	zip := []byte("PK a zip file")
	code, err := b.client.PutCode(t.Context(), bytes.NewReader(zip), int64(len(zip)))
	if err != nil {
		t.Fatal(err)
	}
	f, created, err := b.client.PutFunction(t.Context(), "hello", wire.FunctionSpec{
		Settings: wire.Settings{Runtime: "nodejs22.x", Handler: "index.handler"}, Code: &code,
	}, client.PutOptions{})
	if err != nil || !created {
		t.Fatalf("put: created %t, %v", created, err)
	}
	return f
}
