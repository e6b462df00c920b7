package shim_test

import (
	"context"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/none"
)

func drivers(t *testing.T) map[string]sandbox.Driver {
	t.Helper()
	isolating, err := linux.New(linux.Config{StateDir: t.TempDir(), NodeID: "shimtest"})
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
