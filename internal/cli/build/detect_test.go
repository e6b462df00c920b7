package build_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/cli/build"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/language"
)

func newest(f language.Family) (string, error) {
	return map[language.Family]string{language.Node: "nodejs22.x", language.Python: "python3.13"}[f], nil
}

// tree writes files, given by name and text, into a new folder. A name that
// ends in "*" is executable.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if short, ok := strings.CutSuffix(name, "*"); ok {
			name, mode = short, 0o755
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDetect(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		path  string
		req   build.Request
		want  string // kind runtime handler, or the fault's reason
		warns bool
	}{
		{name: "CommonJS", files: map[string]string{"index.js": "exports.handler = async () => {}"}, want: "Node.js nodejs22.x index.handler"},
		{name: "CommonJS object", files: map[string]string{"app.cjs": "module.exports = {\n  other,\n  handler,\n}"}, want: "Node.js nodejs22.x app.handler"},
		{name: "ES module", files: map[string]string{"index.mjs": "export async function handler() {}"}, want: "Node.js nodejs22.x index.handler"},
		{name: "export list", files: map[string]string{"index.mjs": "const a = 1\nexport { a, f as handler }"}, want: "Node.js nodejs22.x index.handler"},
		{name: "ES module named js", files: map[string]string{"index.js": "export const handler = 1"}, want: "Node.js nodejs22.x index.handler", warns: true},
		{name: "ES module by type", files: map[string]string{"package.json": `{"type":"module"}`, "index.js": "export const handler = 1"}, want: "Node.js nodejs22.x index.handler"},
		{name: "main of package.json", files: map[string]string{"package.json": `{"main":"./lib/it.js"}`, "lib/it.js": "exports.lambdaHandler = 1", "index.js": ""}, want: "Node.js nodejs22.x lib/it.lambdaHandler"},
		{name: "second candidate", files: map[string]string{"index.js": "run()", "handler.js": "exports.handler = 1"}, want: "Node.js nodejs22.x handler.handler"},
		{name: "commented out", files: map[string]string{"index.js": "// exports.handler = 1\n/* exports.handler = 1 */"}, want: "HandlerNotFound"},
		{name: "no export", files: map[string]string{"index.js": "start()"}, want: "HandlerNotFound"},
		{name: "no export but named", files: map[string]string{"index.js": "module.exports = wrap()"}, req: build.Request{Handler: "index.go"}, want: "Node.js nodejs22.x index.go"},
		{name: "package.json alone", files: map[string]string{"package.json": `{}`}, want: "HandlerNotFound"},
		{name: "broken package.json", files: map[string]string{"package.json": `{`, "index.js": "exports.handler=1"}, want: "PackageJSON"},
		{name: "TypeScript below src", files: map[string]string{"src/index.ts": "export const handler = 1"}, want: "TypeScript nodejs22.x src/index.handler"},
		{name: "one TypeScript file", path: "hello.ts", files: map[string]string{"hello.ts": "export const handler = 1"}, want: "TypeScript nodejs22.x hello.handler"},
		{name: "Python", files: map[string]string{"lambda_function.py": "def lambda_handler(event, context):\n  pass"}, want: "Python python3.13 lambda_function.lambda_handler"},
		{name: "Python's nested def", files: map[string]string{"app.py": "class A:\n  def handler(self): pass"}, want: "HandlerNotFound"},
		{name: "Python with pyproject", files: map[string]string{"app.py": "def handler(e, c): pass", "pyproject.toml": ""}, want: "Python python3.13 app.handler", warns: true},
		{name: "Python package named", files: map[string]string{"pkg/mod.py": ""}, req: build.Request{Handler: "pkg.mod.go"}, want: "Python python3.13 pkg.mod.go"},
		{name: "requirements alone", files: map[string]string{"requirements.txt": ""}, want: "HandlerNotFound"},
		{name: "one Python file", path: "x.py", files: map[string]string{"x.py": "def handler(e, c): pass", "index.js": "exports.handler=1"}, want: "Python python3.13 x.handler"},
		{name: "given runtime", files: map[string]string{"main.py": "def handler(e, c): pass"}, req: build.Request{Runtime: "python3.9"}, want: "Python python3.9 main.handler"},
		{name: "two languages", files: map[string]string{"main.py": "def handler(e, c): pass", "index.js": "exports.handler=1"}, want: "AmbiguousLanguage"},
		{name: "two languages, runtime given", files: map[string]string{"main.py": "def handler(e, c): pass", "index.js": "exports.handler=1"}, req: build.Request{Runtime: "python3.9"}, want: "Python python3.9 main.handler"},
		{name: "Go", files: map[string]string{"go.mod": "module x", "main.go": "package main\nfunc main() {}", "index.js": "exports.handler=1"}, want: "Go provided.al2023 bootstrap"},
		{name: "Go without main", files: map[string]string{"go.mod": "module x", "x.go": "package x"}, want: "HandlerNotFound"},
		{name: "bootstrap", files: map[string]string{"bootstrap*": "#!/bin/sh"}, want: "bootstrap provided.al2023 bootstrap"},
		{name: "bootstrap with a handler", files: map[string]string{"bootstrap*": "#!/bin/sh"}, req: build.Request{Handler: "it.run", Runtime: "provided.al2"}, want: "bootstrap provided.al2 it.run"},
		{name: "shell script", path: "hi.sh", files: map[string]string{"hi.sh": "#!/bin/sh"}, want: "bootstrap provided.al2023 bootstrap"},
		{name: "unknown", files: map[string]string{"README.md": "hello"}, want: "UnknownLanguage"},
		{name: "unknown but said", files: map[string]string{"a.rb": ""}, req: build.Request{Runtime: "ruby3.3", Handler: "a.b"}, want: "files ruby3.3 a.b"},
		{name: "nothing there", path: "missing", want: "PathNotFound"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := tt.req
			req.Path, req.Newest = filepath.Join(tree(t, tt.files), tt.path), newest
			src, err := build.Detect(req)
			if err != nil {
				if fault.From(err).Reason != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				return
			}
			if got := string(src.Kind) + " " + src.Runtime + " " + src.Handler; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (len(src.Warnings) > 0) != tt.warns {
				t.Errorf("warnings = %q, want some: %t", src.Warnings, tt.warns)
			}
		})
	}
}
