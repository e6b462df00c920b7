// Package templates holds the functions that `mayfly init` starts from, and
// writes them into a folder.
package templates

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// Template is a function to start from.
type Template struct {
	Name     string `json:"name"`
	Language string `json:"language"`
	Summary  string `json:"summary"`
}

// All lists the templates, the one for newcomers first. The caller must not
// change it.
var All = []Template{
	{"node", "JavaScript", "Node.js with CommonJS"},
	{"node-esm", "JavaScript", "Node.js with ES modules"},
	{"typescript", "TypeScript", "bundled at deploy"},
	{"python", "Python", "handler(event, context)"},
	{"go", "Go", "a static program with aws-lambda-go"},
	{"bash", "bash", "a custom runtime in a dozen lines"},
}

//go:embed all:files
var files embed.FS

// Names lists the templates' names in the order of [All].
func Names() []string {
	names := make([]string, len(All))
	for i, t := range All {
		names[i] = t.Name
	}
	return names
}

func find(name string) (Template, error) {
	for _, t := range All {
		if t.Name == name {
			return t, nil
		}
	}
	return Template{}, fault.New(fault.Invalid, "UnknownTemplate", "there is no template %q: use %s", name, strings.Join(Names(), ", "))
}

// Write puts a template into dir, which is made when it is missing. Function is
// the name that the new function gets. A file that is there already is a fault,
// and then nothing is written. It returns the paths below dir.
func Write(dir, name, fn string) ([]string, error) {
	t, err := find(name)
	if err != nil {
		return nil, err
	}
	if err := function.CheckName(fn); err != nil {
		return nil, err
	}
	out, names, err := render(t, fn)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if _, err := os.Lstat(filepath.Join(dir, n)); !errors.Is(err, fs.ErrNotExist) {
			return nil, fault.New(fault.AlreadyExists, "FileExists", "%s is there already: choose an empty folder", filepath.Join(dir, n))
		}
	}
	for _, n := range names {
		if err := writeFile(filepath.Join(dir, n), out[n]); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func writeFile(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // a project folder, the umask decides
		return fmt.Errorf("make the folder: %w", err)
	}
	mode := fs.FileMode(0o644)
	if bytes.HasPrefix(text, []byte("#!")) {
		mode = 0o755
	}
	if err := os.WriteFile(file, text, mode); err != nil {
		return fmt.Errorf("write the template: %w", err)
	}
	return nil
}

// render returns the files of a template by name, with the names in order.
func render(t Template, fn string) (out map[string][]byte, names []string, err error) {
	out = map[string][]byte{}
	data := struct{ Name, Language string }{fn, t.Language}
	add := func(source, name string) error {
		text, err := files.ReadFile(source)
		if err != nil {
			return err
		}
		if short, ok := strings.CutSuffix(name, ".tmpl"); ok {
			name = short
			if text, err = fill(string(text), data); err != nil {
				return fmt.Errorf("template %s: %w", source, err)
			}
		}
		out[name], names = text, append(names, name)
		return nil
	}
	root := path.Join("files", t.Name)
	err = fs.WalkDir(files, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return add(p, strings.TrimPrefix(p, root+"/"))
	})
	if err != nil {
		return nil, nil, err
	}
	for _, shared := range []string{"README.md.tmpl", "mayfly.yaml.tmpl"} {
		if err := add(path.Join("files", shared), shared); err != nil {
			return nil, nil, err
		}
	}
	return out, names, nil
}

func fill(text string, data any) ([]byte, error) {
	t, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.Bytes(), err
}
