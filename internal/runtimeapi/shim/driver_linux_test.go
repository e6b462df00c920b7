package shim_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/shim"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/none"
)

func drivers(t *testing.T) map[string]sandbox.Driver {
	t.Helper()
	isolating, err := linux.New(linux.Config{StateDir: t.TempDir(), NodeID: "shimtest", FirstUID: 2_000_000})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := none.New(none.Config{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]sandbox.Driver{"linux": isolating, "none": bare}
	t.Cleanup(func() {
		for name, d := range all {
			if err := d.Close(); err != nil {
				t.Errorf("close %s: %v", name, err)
			}
		}
	})
	return all
}

// TestFunctionsRunInEveryDriversSandbox starts a function with the interpreters
// that this machine has, those of version managers included.
func TestFunctionsRunInEveryDriversSandbox(t *testing.T) {
	files := map[string]string{
		"index.js": `require("layered"); exports.handler = async (event) => {
			console.log("console"); process.stdout.write("raw\n");
			require("child_process").execFileSync("sh", ["-c", "echo anew > /dev/stderr"], { stdio: "inherit" });
			return [event, process.cwd() === process.env.LAMBDA_TASK_ROOT] }`,
		"app.py": "import os, subprocess\nimport layered\ndef handler(event, context):\n    print('console')\n    os.write(1, b'raw\\n')\n" +
			"    subprocess.run(['sh', '-c', 'echo anew > /dev/stderr'], check=True)\n" +
			"    return [event, os.getcwd() == os.environ['LAMBDA_TASK_ROOT']]\n",
	}
	handlers := map[language.Family]string{language.Node: "index.handler", language.Python: "app.handler"}
	adapter := newAdapter(t)
	found, err := interpreters()
	if err != nil {
		t.Fatal(err)
	}
	for name, driver := range drivers(t) {
		for _, in := range found {
			t.Run(name+" "+in.Path, func(t *testing.T) {
				v := &function.Version{Function: "hello", Number: function.Latest}
				v.Settings = function.Settings{Runtime: string(in.Family), Handler: handlers[in.Family]}
				v.Fill()
				task := writeFiles(t, files)
				opt := writeFiles(t, map[string]string{"nodejs/node_modules/layered/index.js": "", "python/layered.py": ""})
				sb, err := driver.Create(t.Context(), sandbox.Spec{
					ID: "hello", MemoryBytes: 256 << 20, MilliCPU: 1000, PIDs: 64, OpenFiles: 1024, TmpBytes: 64 << 20,
					Mounts: append(adapter.Mounts(in), sandbox.Mount{Source: task, Target: "/var/task"}, sandbox.Mount{Source: opt, Target: "/opt"}),
					Egress: function.Egress{Mode: function.EgressNone},
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := sb.Destroy(context.Background()); err != nil {
						t.Error(err)
					}
				})
				answers(t, adapter, sb, in, v)
			})
		}
	}
}

// create makes a sandbox that is gone with the test.
func create(t *testing.T, d sandbox.Driver, spec sandbox.Spec) sandbox.Sandbox {
	t.Helper()
	spec.MemoryBytes, spec.MilliCPU, spec.PIDs, spec.OpenFiles, spec.TmpBytes = 256<<20, 1000, 64, 1024, 64<<20
	spec.Egress = function.Egress{Mode: function.EgressNone}
	sb, err := d.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sb.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return sb
}

// TestFunctionFindsItsCodeThatCameAfterTheStart binds stems in sandboxes in which
// the code is mounted when everything runs already.
func TestFunctionFindsItsCodeThatCameAfterTheStart(t *testing.T) {
	driver := drivers(t)["linux"]
	adapter := newAdapter(t)
	libraries, err := filepath.Glob("/lib/*-linux-gnu/libz.so.1")
	if err != nil || len(libraries) == 0 {
		t.Fatalf("a library to load: %v, %v", libraries, err)
	}
	library, err := os.ReadFile(libraries[0])
	if err != nil {
		t.Fatal(err)
	}
	for family, s := range map[language.Family]spec{
		language.Node: nodeFile(`const layered = require("layered"), near = require("./near");
			exports.handler = async () => [near, layered, process.cwd(), require("fs").readdirSync(".").length]`),
		language.Python: pythonFile("import ctypes, os\nimport layered, near\nctypes.CDLL('libofmine.so')\nctypes.CDLL('liboflayer.so')\n" +
			"def handler(event, context):\n    return [near.word, layered.word, os.getcwd(), len(os.listdir('.'))]\n"),
	} {
		t.Run(string(family), func(t *testing.T) {
			s.files["near.js"], s.files["near.py"] = `module.exports = "near"`, "word = 'near'\n"
			s.files["lib/libofmine.so"] = string(library)
			task := writeFiles(t, s.files)
			opt := writeFiles(t, map[string]string{
				"nodejs/node_modules/layered/index.js": `module.exports = "layered"`, "python/layered.py": "word = 'layered'\n",
				"lib/liboflayer.so": string(library),
			})
			d := &deployed{t: t, output: &transcript{}}
			l := s.launch(t, d.output.add)
			sb := create(t, driver, sandbox.Spec{ID: "stem-" + string(family), Mounts: adapter.Mounts(l.Interpreter), Unbound: true})
			stem, err := adapter.LaunchStem(t.Context(), sb, "e1", l.Interpreter)
			if err != nil {
				t.Fatal(err)
			}
			defer stem.Close() // the session's Close tells
			if err := stem.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := sb.(sandbox.Binder).Bind(t.Context(), sandbox.Binding{
				MemoryBytes: 256 << 20, MilliCPU: 1000, TmpBytes: 64 << 20, Egress: function.Egress{Mode: function.EgressNone},
				Mounts: []sandbox.Mount{{Source: task, Target: "/var/task"}, {Source: opt, Target: "/opt"}},
			}); err != nil {
				t.Fatal(err)
			}
			if d.session, err = stem.Bind(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			if err := d.ready(); err != nil {
				t.Fatalf("init: %v\n%s", err, d.output.text())
			}
			if got := strings.ReplaceAll(d.call(`{}`), " ", ""); got != `["near","layered","/var/task",4]` {
				t.Errorf("got %s", got)
			}
			if err := d.session.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestColdStartsReadByteCode changes the sources after they were compiled: who
// still sees the old value has not looked at them.
func TestColdStartsReadByteCode(t *testing.T) {
	driver := drivers(t)["linux"]
	adapter := newAdapter(t)
	in := interpreter(t, language.Python)
	source := `import layered, marker, pkg.inner
def handler(event, context):
    try:
        open("/var/lang/pycache/var/task/app.pyc", "w")
    except OSError as error:
        refused = type(error).__name__
    return [marker.value, pkg.inner.value, layered.value, marker.__file__, refused]
`
	files := map[string]string{"app.py": source, "marker.py": "value = 1\n", "pkg/__init__.py": "", "pkg/inner.py": "value = 1\n", "broken.py": "def ("}
	task, opt := writeFiles(t, files), writeFiles(t, map[string]string{"python/layered.py": "value = 1\n"})
	code := []sandbox.Mount{{Source: task, Target: "/var/task"}, {Source: opt, Target: "/opt"}}
	cache := filepath.Join(t.TempDir(), "code")
	if _, ok := shim.CodeCache(cache); ok {
		t.Error("there is byte code before it was made")
	}
	for range 2 {
		if err := adapter.PrepareCode(t.Context(), driver, in, code, cache); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(cache)); err != nil || len(left) != 1 {
		t.Errorf("what is there: %v, %v, want the byte code alone", left, err)
	}
	mount, ok := shim.CodeCache(cache)
	if !ok {
		t.Fatal("there is no byte code")
	}
	fill(t, task, map[string]string{"marker.py": "value = 2\n", "pkg/inner.py": "value = 2\n"})
	fill(t, opt, map[string]string{"python/layered.py": "value = 2\n"})

	s := spec{family: language.Python, handler: "app.handler"}
	d := &deployed{t: t, output: &transcript{}}
	l := s.launch(t, d.output.add)
	sb := create(t, driver, sandbox.Spec{ID: "cached", Mounts: append(append(adapter.Mounts(in), code...), mount)})
	var err error
	if d.session, err = adapter.Launch(t.Context(), sb, l); err != nil {
		t.Fatal(err)
	}
	if err := d.ready(); err != nil {
		t.Fatalf("init: %v\n%s", err, d.output.text())
	}
	if got, want := d.call(`{}`), `[1, 1, 1, "/var/task/marker.py", "PermissionError"]`; got != want && got != strings.Replace(want, "PermissionError", "OSError", 1) {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := d.session.Close(); err != nil {
		t.Error(err)
	}
}

func TestCodeIsNotCompiledWhereItIsElsewhere(t *testing.T) {
	err := newAdapter(t).PrepareCode(t.Context(), drivers(t)["none"], interpreter(t, language.Python), nil, filepath.Join(t.TempDir(), "code"))
	if !fault.Is(err, fault.Unsupported, "PrepareCode") {
		t.Errorf("PrepareCode: %v", err)
	}
}

// answers starts the function and checks one call.
func answers(t *testing.T, adapter runtimeapi.Adapter, sb sandbox.Sandbox, in language.Interpreter, v *function.Version) {
	t.Helper()
	d := &deployed{t: t, output: &transcript{}}
	var err error
	d.session, err = adapter.Launch(t.Context(), sb, runtimeapi.Launch{
		Environment: "e1", Version: v, Interpreter: in, Output: d.output.add,
		Env: runtimeapi.Environ(v, runtimeapi.Params{Environment: "e1", Region: "us-east-1", Interpreter: in}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.session.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := d.ready(); err != nil {
		t.Fatalf("init: %v\n%s", err, d.output.text())
	}
	if got := strings.ReplaceAll(d.call(`{"a":1}`), " ", ""); got != `[{"a":1},true]` {
		t.Errorf("got %s", got)
	}
	// The sandbox's user is not who made the pipe that /dev/stderr opens anew.
	text := d.output.text()
	for _, want := range []string{"console\n", "stdout request-1 raw\n", "stderr request-1 anew\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("output:\n%s\nwant %q in it", text, want)
		}
	}
}
