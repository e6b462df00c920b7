package build_test

import (
	"archive/zip"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/cli/build"
	"mayfly.dev/mayfly/internal/fault"
)

func builder(t *testing.T) (b *build.Builder, steps *[]string) {
	t.Helper()
	steps = &[]string{}
	return &build.Builder{CacheDir: t.TempDir(), Step: func(s string) { *steps = append(*steps, s) }}, steps
}

func detect(t *testing.T, req build.Request) *build.Source {
	t.Helper()
	req.Newest = newest
	src, err := build.Detect(req)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// contents returns a package's files by name, with "*" after executables.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	files := map[string]string{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		name := f.Name
		if f.Mode()&0o111 != 0 {
			name += "*"
		}
		files[name] = string(text)
	}
	return files
}

func TestFolderIsPackedWithoutWhatIsIgnored(t *testing.T) {
	dir := tree(t, map[string]string{
		"index.js": "exports.handler = 1", "lib/a.txt": "a", "run.sh*": "#!/bin/sh", "notes.md": "x", "docs/keep.md": "k", "docs/drop.md": "d",
		".git/config": "x", ".env": "SECRET=1", ".npmrc": "token", "mayfly.yaml": "name: x", "__pycache__/a.pyc": "x", "node_modules/a/index.js": "dep",
		"node_modules/.bin/a": "x", ".mayflyignore": "*.md\n!docs/keep.md\n",
	})
	b, _ := builder(t)
	p, err := b.Build(t.Context(), detect(t, build.Request{Path: dir}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"index.js": "exports.handler = 1", "lib/a.txt": "a", "run.sh*": "#!/bin/sh", "docs/keep.md": "k", "node_modules/a/index.js": "dep",
	}
	if diff := cmp.Diff(want, contents(t, p.Path)); diff != "" {
		t.Errorf("package (-want +got):\n%s", diff)
	}
	if p.Files != 5 || p.UnzippedBytes == 0 || p.SizeBytes == 0 || len(p.SHA256) != 64 {
		t.Errorf("package = %+v", p)
	}
}

func TestEqualInputGivesEqualBytes(t *testing.T) {
	files := map[string]string{"index.js": "exports.handler = 1", "a/b": "c", "x*": "y"}
	one, two := tree(t, files), tree(t, files)
	old := time.Now().Add(-1000 * time.Hour)
	if err := os.Chtimes(filepath.Join(two, "index.js"), old, old); err != nil {
		t.Fatal(err)
	}
	b1, _ := builder(t)
	b2, _ := builder(t)
	p1, err1 := b1.Build(t.Context(), detect(t, build.Request{Path: one}))
	p2, err2 := b2.Build(t.Context(), detect(t, build.Request{Path: two}))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if p1.SHA256 != p2.SHA256 {
		t.Errorf("digests differ: %s, %s", p1.SHA256, p2.SHA256)
	}
	again, err := b1.Build(t.Context(), detect(t, build.Request{Path: two}))
	if err != nil || again.Path != p1.Path {
		t.Errorf("the second build made %v (%v), want the cached %s", again, err, p1.Path)
	}
}

func TestLinks(t *testing.T) {
	dir := tree(t, map[string]string{"index.js": "exports.handler = 1"})
	if err := os.Symlink("index.js", filepath.Join(dir, "main.js")); err != nil {
		t.Fatal(err)
	}
	b, _ := builder(t)
	p, err := b.Build(t.Context(), detect(t, build.Request{Path: dir}))
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, p.Path)["main.js*"]; got != "index.js" {
		t.Errorf("the link holds %q, want its target", got)
	}
	for _, target := range []string{"/etc/passwd", "../outside"} {
		link := filepath.Join(dir, "out")
		_ = os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Build(t.Context(), detect(t, build.Request{Path: dir})); !fault.Is(err, fault.Invalid, "UnsafePath") {
			t.Errorf("link to %s: got %v, want UnsafePath", target, err)
		}
	}
}

func TestShellFileBecomesTheBootstrap(t *testing.T) {
	b, _ := builder(t)
	p, err := b.Build(t.Context(), detect(t, build.Request{Path: filepath.Join(tree(t, map[string]string{"hi.sh": "#!/bin/sh"}), "hi.sh")}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"bootstrap*": "#!/bin/sh"}, contents(t, p.Path)); diff != "" {
		t.Error(diff)
	}
}

func TestZipIsTakenAsItIs(t *testing.T) {
	b, _ := builder(t)
	p, err := b.Build(t.Context(), detect(t, build.Request{Path: tree(t, map[string]string{"index.js": "exports.handler = 1"})}))
	if err != nil {
		t.Fatal(err)
	}
	src := detect(t, build.Request{Path: p.Path})
	if src.Handler != "index.handler" || src.Runtime != "nodejs22.x" {
		t.Errorf("detected %s %s in the zip", src.Runtime, src.Handler)
	}
	again, err := b.Build(t.Context(), src)
	if err != nil || again.SHA256 != p.SHA256 {
		t.Errorf("got %+v, %v; want the digest %s", again, err, p.SHA256)
	}
	broken := filepath.Join(t.TempDir(), "broken.zip")
	if err := os.WriteFile(broken, []byte("PK no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := build.Detect(build.Request{Path: broken, Newest: newest}); !fault.Is(err, fault.Invalid, "CorruptPackage") {
		t.Errorf("broken zip: got %v, want CorruptPackage", err)
	}
}

func TestTypeScriptIsBundled(t *testing.T) {
	dir := tree(t, map[string]string{
		"src/index.ts": `import { greet } from "./greet";
import fs from "node:fs";
import dep from "dep";
export const handler = async (e: { name: string }): Promise<string> => greet(e.name) + dep + typeof fs.readFileSync;`,
		"src/greet.ts": "export const greet = (n: string): string => `hello ${n} `;", "data/x.json": "{}", "tsconfig.json": "{}",
		"package.json": `{"dependencies": {"dep": "1"}}`, "node_modules/dep/index.js": "module.exports = 'dep '", "node_modules/dep/package.json": "{}",
	})
	for _, tt := range []struct{ kind, manifest, want string }{
		{"CommonJS", `{"dependencies": {"dep": "1"}}`, "src/index.cjs"},
		{"ES module", `{"type": "module", "dependencies": {"dep": "1"}}`, "src/index.mjs"},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(tt.manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			b, _ := builder(t)
			p, err := b.Build(t.Context(), detect(t, build.Request{Path: dir}))
			if err != nil {
				t.Fatal(err)
			}
			files := contents(t, p.Path)
			if len(files) != 3 || files[tt.want+".map"] == "" || files["data/x.json"] != "{}" {
				t.Errorf("package = %v", files)
			}
			out := filepath.Join(t.TempDir(), filepath.Base(tt.want))
			if err := os.WriteFile(out, []byte(files[tt.want]), 0o600); err != nil {
				t.Fatal(err)
			}
			script := "import(process.argv[1]).then(async m => process.stdout.write(await m.handler({name: 'you'})))"
			got, err := exec.CommandContext(t.Context(), "node", "-e", script, out).CombinedOutput()
			if err != nil || string(got) != "hello you dep function" {
				t.Errorf("the bundle said %q, %v", got, err)
			}
		})
	}
}

func TestBundleFaultsNameTheLine(t *testing.T) {
	b, _ := builder(t)
	dir := tree(t, map[string]string{"index.ts": "import a from 'absent';\nexport const handler = ;"})
	_, err := b.Build(t.Context(), detect(t, build.Request{Path: dir}))
	if !fault.Is(err, fault.Invalid, "BuildFailed") || !strings.Contains(err.Error(), "index.ts:2:24") {
		t.Errorf("got %v, want BuildFailed at index.ts:2:24", err)
	}
}

func TestGoIsCompiledToAStaticBootstrap(t *testing.T) {
	dir := tree(t, map[string]string{"main.go": "package main\n\nfunc main() { println(\"hi\") }\n", "go.mod": "module x\n\ngo 1.22\n"})
	b, steps := builder(t)
	p, err := b.Build(t.Context(), detect(t, build.Request{Path: dir}))
	if err != nil {
		t.Fatal(err)
	}
	if files := contents(t, p.Path); !strings.HasPrefix(files["bootstrap*"], "\x7fELF") || len(files) != 1 {
		t.Errorf("package has %d files, want an executable bootstrap alone", len(files))
	}
	if diff := cmp.Diff([]string{"go build"}, *steps); diff != "" {
		t.Error(diff)
	}
	broken := tree(t, map[string]string{"main.go": "package main\nfunc main() { nope() }"})
	if _, err := b.Build(t.Context(), detect(t, build.Request{Path: filepath.Join(broken, "main.go")})); !fault.Is(err, fault.Invalid, "BuildFailed") || !strings.Contains(err.Error(), "nope") {
		t.Errorf("got %v, want BuildFailed that names nope", err)
	}
}

// fakeTool puts a program before all others in PATH.
func fakeTool(t *testing.T, name, script string) {
	t.Helper()
	dir := tree(t, map[string]string{name + "*": "#!/bin/sh\n" + script})
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestNodeDependenciesAreInstalledOnceAndOutsideTheFolder(t *testing.T) {
	fakeTool(t, "npm", `[ "$1" = ci ] || exit 9
mkdir -p node_modules/dep node_modules/.bin && echo "$@" > node_modules/dep/args && echo x > node_modules/.bin/dep`)
	dir := tree(t, map[string]string{
		"index.js": "exports.handler = 1", "package.json": `{"dependencies":{"dep":"1"}}`, "package-lock.json": "{}",
	})
	b, steps := builder(t)
	for range 2 {
		p, err := b.Build(t.Context(), detect(t, build.Request{Path: dir}))
		if err != nil {
			t.Fatal(err)
		}
		files := contents(t, p.Path)
		if files["node_modules/dep/args"] != "ci --omit=dev --no-audit --no-fund --loglevel=error\n" || len(files) != 4 {
			t.Errorf("package = %v", files)
		}
	}
	if diff := cmp.Diff([]string{"npm ci"}, *steps); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		t.Error("the user's folder got a node_modules")
	}
}

func TestWhatCannotBeInstalledIsSaid(t *testing.T) {
	b, _ := builder(t)
	for name, files := range map[string]map[string]string{
		"yarn":  {"package.json": `{"dependencies":{"dep":"1"}}`, "yarn.lock": ""},
		"local": {"package.json": `{"dependencies":{"dep":"file:../dep"}}`},
	} {
		files["index.js"] = "exports.handler = 1"
		_, err := b.Build(t.Context(), detect(t, build.Request{Path: tree(t, files)}))
		if !fault.Is(err, fault.Invalid, "NotInstalled") {
			t.Errorf("%s: got %v, want NotInstalled", name, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	dir := tree(t, map[string]string{"index.js": "exports.handler = 1", "package.json": `{"dependencies":{"dep":"1"}}`})
	if _, err := b.Build(t.Context(), detect(t, build.Request{Path: dir})); !fault.Is(err, fault.Unsupported, "ToolNotFound") {
		t.Errorf("without npm: got %v, want ToolNotFound", err)
	}
}

func TestPythonRequirementsAreInstalled(t *testing.T) {
	fakeTool(t, "fakepython", `[ "$1 $2 $3 $4 $5 $6" = "-m pip install --requirement requirements.txt --target" ] || exit 9
mkdir -p "$7/dep" "$7/bin" && echo x > "$7/dep/__init__.py" && echo x > "$7/bin/dep"`)
	b, steps := builder(t)
	b.Python = "fakepython"
	dir := tree(t, map[string]string{"main.py": "def handler(e, c): pass", "requirements.txt": "# ours\ndep==1\n"})
	for range 2 {
		p, err := b.Build(t.Context(), detect(t, build.Request{Path: dir}))
		if err != nil {
			t.Fatal(err)
		}
		if files := contents(t, p.Path); files["dep/__init__.py"] != "x\n" || len(files) != 3 {
			t.Errorf("package = %v", files)
		}
	}
	if diff := cmp.Diff([]string{"pip install"}, *steps); diff != "" {
		t.Error(diff)
	}
}

func TestFailedToolIsQuotedAndLeavesNothing(t *testing.T) {
	fakeTool(t, "npm", "echo no such package >&2; exit 1")
	b, _ := builder(t)
	dir := tree(t, map[string]string{"index.js": "exports.handler = 1", "package.json": `{"dependencies":{"dep":"1"}}`})
	_, err := b.Build(t.Context(), detect(t, build.Request{Path: dir}))
	if !fault.Is(err, fault.Invalid, "BuildFailed") || !strings.Contains(fault.From(err).Detail, "npm install failed:\nno such package") {
		t.Errorf("got %v, want BuildFailed with npm's words", err)
	}
	if left, err := os.ReadDir(filepath.Join(b.CacheDir, "node_modules")); err != nil || len(left) > 0 {
		t.Errorf("the cache holds %v, %v", left, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Build(ctx, detect(t, build.Request{Path: dir})); err == nil {
		t.Error("a cancelled build succeeded")
	}
}

func TestTooLargeIsSaidBeforeAnythingIsZipped(t *testing.T) {
	dir := tree(t, map[string]string{"index.js": "exports.handler = 1", "huge": ""})
	if err := os.Truncate(filepath.Join(dir, "huge"), build.MaxUnzippedBytes+1); err != nil {
		t.Fatal(err)
	}
	b, _ := builder(t)
	if _, err := b.Build(t.Context(), detect(t, build.Request{Path: dir})); !fault.Is(err, fault.TooLarge, "UnzippedTooLarge") {
		t.Errorf("got %v, want UnzippedTooLarge", err)
	}
	big := filepath.Join(t.TempDir(), "big.zip")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, build.MaxZipBytes+1); err != nil {
		t.Fatal(err)
	}
	src := detect(t, build.Request{Path: big, Runtime: "nodejs22.x", Handler: "index.handler"})
	if _, err := b.Build(t.Context(), src); !fault.Is(err, fault.TooLarge, "PackageTooLarge") {
		t.Errorf("got %v, want PackageTooLarge", err)
	}
}

func TestABootstrapWithWindowsLineEndsIsRefused(t *testing.T) {
	dir := tree(t, map[string]string{"bootstrap*": "#!/bin/sh\r\necho\r\n"})
	_, err := build.Detect(build.Request{Path: dir})
	if !fault.Is(err, fault.Invalid, "LineEnds") {
		t.Errorf("got %v, want Invalid LineEnds", err)
	}
}
