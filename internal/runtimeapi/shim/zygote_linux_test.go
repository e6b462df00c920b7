package shim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/shim"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
)

// zygote is a function whose runtime has loaded it and can be copied.
type zygote struct {
	t       testing.TB
	adapter *shim.Adapter
	launch  runtimeapi.Launch
	sandbox sandbox.Sandbox
	session runtimeapi.Session
	output  *transcript
	copies  int
}

func isolating(tb testing.TB) sandbox.Driver {
	tb.Helper()
	d, err := linux.New(linux.Config{StateDir: tb.TempDir(), NodeID: "zygotetest", FirstUID: 2_100_000})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// begin launches a zygote of Python files.
func begin(tb testing.TB, d sandbox.Driver, files map[string]string) *zygote {
	tb.Helper()
	z := &zygote{t: tb, adapter: newAdapter(tb), output: &transcript{}}
	in := interpreter(tb, language.Python)
	v := &function.Version{Function: "hello", Number: function.Latest}
	v.Settings = function.Settings{Runtime: "python3.99", Handler: "app.handler"}
	v.Fill()
	spec := z.spec("zygote")
	spec.Mounts = append(z.adapter.Mounts(in), sandbox.Mount{Source: writeFiles(tb, files), Target: "/var/task"})
	var err error
	if z.sandbox, err = d.Create(tb.Context(), spec); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { destroy(tb, z.sandbox) })
	z.launch = runtimeapi.Launch{Environment: "zygote", Version: v, Interpreter: in, Zygote: true, Output: z.output.add}
	z.launch.Env = runtimeapi.Environ(v, runtimeapi.Params{Environment: "zygote", Region: "us-east-1", Interpreter: in})
	if z.session, err = z.adapter.Launch(tb.Context(), z.sandbox, z.launch); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		destroy(tb, z.sandbox)
		if err := z.session.Close(); err != nil {
			tb.Error(err)
		}
	})
	return z
}

// incubate is begin and a successful init phase.
func incubate(tb testing.TB, d sandbox.Driver, files map[string]string) *zygote {
	tb.Helper()
	z := begin(tb, d, files)
	if err := z.ready(); err != nil {
		tb.Fatalf("init: %v\n%s", err, z.output.text())
	}
	return z
}

func (z *zygote) ready() error {
	ctx, cancel := context.WithTimeout(z.t.Context(), patience)
	defer cancel()
	return z.session.Ready(ctx)
}

func destroy(tb testing.TB, sb sandbox.Sandbox) {
	tb.Helper()
	if err := sb.Destroy(context.Background()); err != nil {
		tb.Error(err)
	}
}

func (z *zygote) spec(id string) sandbox.Spec {
	return sandbox.Spec{
		ID: id, MemoryBytes: 256 << 20, MilliCPU: 1000, PIDs: 64, OpenFiles: 1024, TmpBytes: 64 << 20,
		Egress: function.Egress{Mode: function.EgressNone},
	}
}

// forked is a copy that serves.
type forked struct {
	deployed
	sandbox sandbox.Sandbox
}

func (z *zygote) fork() *forked {
	z.t.Helper()
	z.copies++
	id := fmt.Sprintf("copy-%d", z.copies)
	f := &forked{deployed: deployed{t: z.t, output: &transcript{}}}
	l := z.launch
	l.Environment, l.Output, l.Zygote = id, f.output.add, false
	l.Env = runtimeapi.Environ(l.Version, runtimeapi.Params{Environment: id, Region: "us-east-1", Interpreter: l.Interpreter})
	var err error
	f.session, err = z.adapter.Fork(z.t.Context(), z.session, z.sandbox.(sandbox.Forker), z.spec(id), func(sb sandbox.Sandbox) (runtimeapi.Launch, error) {
		f.sandbox = sb
		return l, nil
	})
	if err != nil {
		z.t.Fatal(err)
	}
	z.t.Cleanup(f.stop)
	if err := f.ready(); err != nil {
		z.t.Fatalf("copy: %v\n%s", err, f.output.text())
	}
	return f
}

func (f *forked) stop() {
	destroy(f.t, f.sandbox)
	if err := f.session.Close(); err != nil {
		f.t.Error(err)
	}
}

func TestCopiesHaveRandomNumbersOfTheirOwn(t *testing.T) {
	z := incubate(t, isolating(t), map[string]string{
		"numpy/__init__.py": "", "numpy/random.py": "import os\nstate = 'one for all'\ndef seed():\n    global state\n    state = os.urandom(8).hex()\n",
		"app.py": `import numpy.random, os, random, ssl, tempfile, uuid
ssl.RAND_bytes(8), random.random(), next(tempfile._get_candidate_names()), uuid.uuid4()
def handler(event, context):
    return [random.random(), numpy.random.state, ssl.RAND_bytes(8).hex(), next(tempfile._get_candidate_names()),
        str(uuid.uuid4()), os.environ["AWS_LAMBDA_LOG_STREAM_NAME"], context.log_stream_name]
`,
	})
	var first, second []any
	for _, into := range []*[]any{&first, &second} {
		if err := json.Unmarshal([]byte(z.fork().call(`{}`)), into); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range first {
		if v == second[i] {
			t.Errorf("value %d is %v in both", i, v)
		}
	}
}

func TestCopySpeaksForItself(t *testing.T) {
	z := incubate(t, isolating(t), map[string]string{"app.py": `import os, sys
print("at init")
os.register_at_fork(before=lambda: print("before"), after_in_parent=lambda: print("parent"), after_in_child=lambda: print("child"))
def handler(event, context):
    print("handled")
    os.write(2, b"raw\n")
    return [os.getpid(), os.getppid(), os.getcwd(), os.path.exists("/proc/2"), sys.stdin.read()]
`})
	f := z.fork()
	if got := strings.ReplaceAll(f.call(`{}`), " ", ""); got != `[1,0,"/var/task",false,""]` {
		t.Errorf("got %s", got)
	}
	if got := f.output.text(); !sameLines(got, "stdout  child\nstdout request-1 handled\nstderr request-1 raw\n") {
		t.Errorf("the copy said\n%s", got)
	}
	f = z.fork() // what the zygote said of the first copy has come by now
	if got := z.output.text(); !strings.HasPrefix(got, "stdout  at init\nstdout  before\nstdout  parent\n") || strings.Contains(got, "child") {
		t.Errorf("the zygote said\n%s", got)
	}
	f.call(`{}`)
}

func TestCopyThatEndsLeavesTheOthers(t *testing.T) {
	z := incubate(t, isolating(t), map[string]string{"app.py": `import os
def handler(event, context):
    if context.log_stream_name.endswith("copy1"):
        os._exit(3)
    return "ok"
`})
	one, other := z.fork(), z.fork()
	exits(t, &one.deployed, 3, "")
	if got := other.call(`{}`); got != `"ok"` {
		t.Errorf("got %s", got)
	}
	if got := z.fork().call(`{}`); got != `"ok"` {
		t.Errorf("a later copy: %s", got)
	}
}

func TestZygoteWhoseInitFailsSaysSo(t *testing.T) {
	z := begin(t, isolating(t), map[string]string{"app.py": "import missing"})
	err := z.ready()
	if failed, ok := errors.AsType[*runtimeapi.InitError](err); !ok || failed.Type != "Runtime.ImportModuleError" {
		t.Errorf("got %v", err)
	}
}

func TestHelloCanBeCopiedAndHasLittleMemoryOfItsOwn(t *testing.T) {
	z := incubate(t, isolating(t), map[string]string{"app.py": `def handler(event, context):
    with open("/proc/self/smaps_rollup") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private"))
`})
	if err := z.sandbox.(sandbox.Forker).Forkable(); err != nil {
		t.Error(err)
	}
	kilobytes, err := strconv.Atoi(z.fork().call(`{}`))
	t.Logf("%d kB are a copy's own", kilobytes)
	if err != nil || kilobytes > 2048 {
		t.Errorf("%d kB are a copy's own, want 2048 at most: %v", kilobytes, err)
	}
}

func BenchmarkFork(b *testing.B) {
	for name, source := range map[string]string{
		"hello": "", "imports": "import asyncio, decimal, email, http.client, json, logging, ssl, urllib.request\n",
	} {
		b.Run(name, func(b *testing.B) {
			z := incubate(b, isolating(b), map[string]string{"app.py": source + "def handler(event, context):\n    return 'hello'\n"})
			for b.Loop() {
				f := z.fork()
				f.call(`{}`)
				b.StopTimer()
				f.stop()
				b.StartTimer()
			}
		})
	}
}
