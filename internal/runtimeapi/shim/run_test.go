package shim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/shim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what should take milliseconds.
const patience = 30 * time.Second

var interpreters = sync.OnceValues(func() ([]language.Interpreter, error) {
	return language.Scan(context.Background())
})

// interpreter returns this machine's default interpreter of a family, or the one
// that MAYFLY_TEST_NODE or MAYFLY_TEST_PYTHON name as version=path.
func interpreter(tb testing.TB, family language.Family) language.Interpreter {
	tb.Helper()
	variable := map[language.Family]string{language.Node: "MAYFLY_TEST_NODE", language.Python: "MAYFLY_TEST_PYTHON"}[family]
	if version, path, ok := strings.Cut(os.Getenv(variable), "="); ok {
		return language.Interpreter{Family: family, Version: version, Path: path}
	}
	found, err := interpreters()
	if err != nil {
		tb.Fatal(err)
	}
	oldest := map[language.Family]string{language.Node: "nodejs18.x", language.Python: "python3.11"}[family]
	r, err := language.Resolve(oldest, found)
	if err != nil {
		tb.Fatal(err)
	}
	return r.Interpreter
}

// transcript gathers lines of output.
type transcript struct {
	mu    sync.Mutex
	lines []runtimeapi.Line
	word  string
	said  chan struct{} // closed when a line has word in it
}

func (r *transcript) add(l runtimeapi.Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said != nil && strings.Contains(string(l.Text), r.word) {
		close(r.said)
		r.said = nil
	}
	r.lines = append(r.lines, l)
}

// await returns a channel that is closed at the next line with word in it.
func (r *transcript) await(word string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.word, r.said = word, make(chan struct{})
	return r.said
}

// take returns the lines so far and forgets them.
func (r *transcript) take() []runtimeapi.Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

func (r *transcript) text() string {
	var b strings.Builder
	for _, l := range r.take() {
		fmt.Fprintf(&b, "%s %s %s\n", l.Stream, l.RequestID, l.Text)
	}
	return b.String()
}

// deployed is a function whose runtime has been started.
type deployed struct {
	t       testing.TB
	session runtimeapi.Session
	sandbox *bareSandbox
	output  *transcript
	calls   int
}

type spec struct {
	family  language.Family
	handler string
	env     map[string]string
	files   map[string]string
	json    bool          // the log format
	slots   int           // invocations at a time
	adapter *shim.Adapter // nil: a new one
}

func newAdapter(tb testing.TB) *shim.Adapter {
	tb.Helper()
	a, err := shim.New(shim.Config{Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// launch returns what an adapter is told of a function.
func (s spec) launch(tb testing.TB, output func(runtimeapi.Line)) runtimeapi.Launch {
	tb.Helper()
	in := interpreter(tb, s.family)
	v := &function.Version{Function: "hello", Number: function.Latest}
	v.Settings = function.Settings{Runtime: string(s.family) + "99", Handler: s.handler, Env: s.env, Concurrency: s.slots}
	if s.json {
		v.LogFormat = "JSON"
	}
	v.Fill()
	return runtimeapi.Launch{
		Environment: "e1", Version: v, Interpreter: in, Output: output,
		Env: runtimeapi.Environ(v, runtimeapi.Params{Environment: "e1", Region: "us-east-1", Interpreter: in}),
	}
}

func deploy(tb testing.TB, s spec) *deployed {
	tb.Helper()
	if s.adapter == nil {
		s.adapter = newAdapter(tb)
	}
	d := &deployed{t: tb, output: &transcript{}}
	l := s.launch(tb, d.output.add)
	d.sandbox = newSandbox(tb, s.adapter.Mounts(l.Interpreter), writeFiles(tb, s.files))
	var err error
	if d.session, err = s.adapter.Launch(tb.Context(), d.sandbox, l); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(d.stop)
	return d
}

func (d *deployed) stop() {
	if err := d.sandbox.Destroy(context.Background()); err != nil {
		d.t.Error(err)
	}
	if err := d.session.Close(); err != nil {
		d.t.Error(err)
	}
}

// start is deploy and a successful init phase.
func start(tb testing.TB, s spec) *deployed {
	tb.Helper()
	d := deploy(tb, s)
	if err := d.ready(); err != nil {
		tb.Fatalf("init: %v\n%s", err, d.output.text())
	}
	return d
}

func (d *deployed) ready() error {
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	return d.session.Ready(ctx)
}

func (d *deployed) try(payload string) (*invocation.Result, error) {
	d.calls++
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	return d.session.Invoke(ctx, &invocation.Invocation{
		ID: fmt.Sprintf("request-%d", d.calls), ARN: "arn:aws:lambda:us-east-1:000000000000:function:hello",
		Payload: []byte(payload), Deadline: time.Now().Add(patience), TraceID: fmt.Sprintf("Root=1-%d", d.calls),
		ClientContext:   []byte(`{"client":{"installation_id":"i1","app_title":"shop"},"custom":{"k":"v"},"env":{"locale":"de"}}`),
		CognitoIdentity: []byte(`{"cognitoIdentityId":"id1","cognitoIdentityPoolId":"pool1"}`),
	})
}

// call invokes and returns the payload of a success, or fails the test.
func (d *deployed) call(payload string) string {
	d.t.Helper()
	r, err := d.try(payload)
	if err != nil {
		d.t.Fatalf("invoke: %v\n%s", err, d.output.text())
	}
	if r.FunctionError != "" {
		d.t.Fatalf("the function failed: %s", r.Payload)
	}
	return string(r.Payload)
}

// failure is what a failed call's payload says.
type failure struct {
	ErrorType, ErrorMessage, RequestID string
	Trace, StackTrace                  []string
}

// fail invokes and returns the failure, or fails the test.
func (d *deployed) fail(payload string) failure {
	d.t.Helper()
	r, err := d.try(payload)
	if err != nil {
		d.t.Fatalf("invoke: %v\n%s", err, d.output.text())
	}
	if r.FunctionError != invocation.Unhandled {
		d.t.Fatalf("FunctionError %q, payload %s, want a failure", r.FunctionError, r.Payload)
	}
	f := decode(d.t, r.Payload)
	if f.ErrorType != r.ErrorType {
		d.t.Errorf("the result's error type is %q, the payload's %q", r.ErrorType, f.ErrorType)
	}
	return f
}

func decode(tb testing.TB, payload []byte) failure {
	tb.Helper()
	var f failure
	if err := json.Unmarshal(payload, &f); err != nil {
		tb.Fatalf("the failure is no JSON: %v: %s", err, payload)
	}
	return f
}
