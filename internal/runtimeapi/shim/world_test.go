package shim_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/language"
)

// worldOf returns what the function of testdata/world.* says of its process.
func worldOf(tb testing.TB, d *deployed) map[string]any {
	tb.Helper()
	if err := d.ready(); err != nil {
		tb.Fatalf("init: %v\n%s", err, d.output.text())
	}
	var world map[string]any
	if err := json.Unmarshal([]byte(d.call(`{}`)), &world); err != nil {
		tb.Fatal(err)
	}
	return world
}

// TestFunctionCanNotTellAStemFromAWholeStart compares all that user code sees of
// its process. What is not compared because it can't be the same: the process's
// age, its id and the numbers of its pipes.
func TestFunctionCanNotTellAStemFromAWholeStart(t *testing.T) {
	t.Parallel()
	sources := map[language.Family][2]string{language.Node: {"world.js", "index.js"}, language.Python: {"world.py", "app.py"}}
	variables := map[string]map[string]string{
		"plain": {},
		"own variables": {
			"TABLE": "t", "TZ": "Europe/Berlin", "NODE_PATH": "/opt/more", "PYTHONPATH": "/opt/more:", "HOME": "/tmp/home",
			"PATH": "/opt/bin:/usr/bin", "LANG": "en_US.UTF-8", "NODE_ENV": "production",
		},
	}
	for family, names := range sources {
		source, err := os.ReadFile(filepath.Join("testdata", names[0]))
		if err != nil {
			t.Fatal(err)
		}
		for name, env := range variables {
			t.Run(string(family)+" "+name, func(t *testing.T) {
				t.Parallel()
				s := spec{family: family, handler: strings.Split(names[1], ".")[0] + ".handler", env: env, adapter: newAdapter(t)}
				s.files = map[string]string{names[1]: string(source)}
				if err := s.adapter.Prepare(t.Context(), interpreter(t, family)); err != nil {
					t.Fatal(err)
				}
				planted := plant(t, s)
				whole := start(t, s)
				want := worldOf(t, whole)
				got := worldOf(t, planted.bind(t, s))
				replaceTask(got, planted.task, whole.sandbox.HostPath("/var/task"))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("from a whole start and from a stem (-whole +stem):\n%s", diff)
				}
				if len(want) != 2 {
					t.Errorf("the function told of %d moments, want 2", len(want))
				}
			})
		}
	}
}

// replaceTask puts one directory in the place of another in all texts of v.
func replaceTask(v any, from, to string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, from, to)
	case []any:
		for i := range v {
			v[i] = replaceTask(v[i], from, to)
		}
	case map[string]any:
		for k := range maps.Clone(v) {
			v[k] = replaceTask(v[k], from, to)
		}
	}
	return v
}
