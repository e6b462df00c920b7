package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// maxBytes bounds a manifest.
const maxBytes = 1 << 20

// Read parses the manifest at path, or the one in the folder at path. Env looks
// up the variables that it refers to. A fault lists all that is wrong, with
// line numbers where the YAML has them.
func Read(path string, env func(string) (string, bool)) (*App, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, FileName)
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.Invalid, "PathNotFound", "there is no manifest %s", path)
	case err != nil:
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	app, err := Parse(text, env)
	if err != nil {
		e := fault.From(err)
		return nil, fault.New(e.Kind, e.Reason, "%s: %s", path, e.Detail)
	}
	app.Dir, err = filepath.Abs(filepath.Dir(path))
	return app, err
}

// Parse reads a manifest's text. Unknown keys, double keys and values out of
// range are faults.
func Parse(text []byte, env func(string) (string, bool)) (*App, error) {
	if len(text) > maxBytes {
		return nil, fault.New(fault.Invalid, "Manifest", "the manifest is larger than %d bytes", maxBytes)
	}
	app := &App{}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(app); errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "Manifest", "the manifest is empty: it needs a name and functions")
	} else if err != nil {
		return nil, yamlFault(err)
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "Manifest", "the manifest holds more than one YAML document: write one")
	}
	if faults := app.finish(env); len(faults) > 0 {
		return nil, fault.New(fault.Invalid, "Manifest", "%s", strings.Join(faults, "\n"))
	}
	return app, nil
}

// yamlFault puts the decoder's findings into our words.
func yamlFault(err error) error {
	lines := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if te, ok := errors.AsType[*yaml.TypeError](err); ok {
		lines = te.Errors
	}
	for i, line := range lines {
		line = goTypes.Replace(line)
		if before, _, ok := strings.Cut(line, " not found in type "); ok {
			line = strings.Replace(before, "field ", "unknown key ", 1)
		}
		lines[i] = line
	}
	return fault.Wrap(err, fault.Invalid, "Manifest", "%s", strings.Join(lines, "\n"))
}

var goTypes = strings.NewReplacer(
	"into map[string]*manifest.Function", "where functions by name are due",
	"into *manifest.Function", "where a function is due", "into manifest.Function", "where a function is due",
	"into manifest.Defaults", "where defaults are due", "into manifest.App", "where a manifest is due",
	"into map[string]string", "where names with texts are due", "into bool", "where true or false is due",
	"into int", "where a whole number is due", "into string", "where text is due",
	"cannot unmarshal ", "found ", "!!", "",
)

// finish expands variables, applies the defaults and checks every function. It
// returns one line for each fault.
func (a *App) finish(env func(string) (string, bool)) []string {
	var faults []string
	if err := function.CheckName(a.Name); err != nil {
		faults = append(faults, "name: the app's name is 1 to 64 letters, digits, - and _")
	}
	if len(a.Functions) == 0 {
		faults = append(faults, "functions: an app needs at least one function")
	}
	for _, name := range a.Names() {
		f := a.Functions[name]
		if f == nil {
			faults = append(faults, fmt.Sprintf("functions.%s: a path is needed", name))
			continue
		}
		f.inherit(a.Defaults)
		for _, err := range f.check(name, env) {
			faults = append(faults, fmt.Sprintf("functions.%s: %s", name, err))
		}
	}
	return faults
}

func (f *Function) check(name string, env func(string) (string, bool)) []string {
	var faults []string
	add := func(err error) {
		if err != nil {
			faults = append(faults, fault.From(err).Detail)
		}
	}
	add(function.CheckName(name))
	if f.Path == "" {
		faults = append(faults, "path: a folder, file or zip is needed")
	}
	if f.Concurrency != nil && *f.Concurrency < 0 {
		faults = append(faults, "concurrency: it can't be negative")
	}
	if f.EnvironmentConcurrency != nil && *f.EnvironmentConcurrency == 0 {
		faults = append(faults, fmt.Sprintf("environment_concurrency: use 1 to %d", function.MaxEnvironmentConcurrency))
	}
	if len(f.Tags) > function.MaxTags-1 {
		faults = append(faults, fmt.Sprintf("tags: at most %d", function.MaxTags-1))
	}
	expanded := make(map[string]string, len(f.Env))
	for key, value := range f.Env {
		v, err := expand(value, env)
		if err != nil {
			faults = append(faults, fmt.Sprintf("env.%s: %v", key, err))
		}
		expanded[key] = v
	}
	f.Env = expanded
	s := f.Settings()
	if s.Runtime == "" { // they are detected later: what stands here only passes the check
		s.Runtime = "provided.al2023"
	}
	if s.Handler == "" {
		s.Handler = "handler"
	}
	add(s.Check())
	return faults
}

// UnmarshalYAML reads a duration such as 10s.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode || v <= 0 {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %q is no duration: write 10s or 5m", n.Line, n.Value)}}
	}
	*d = Duration(v)
	return nil
}

// UnmarshalYAML reads a number of megabytes; its bounds are checked later.
func (m *Megabytes) UnmarshalYAML(n *yaml.Node) error {
	v, err := strconv.Atoi(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode || v <= 0 {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %q is no size: write the number of MB, for example 256", n.Line, n.Value)}}
	}
	*m = Megabytes(v)
	return nil
}

// UnmarshalYAML reads none, internet, or a list of networks.
func (e *Egress) UnmarshalYAML(n *yaml.Node) error {
	switch n.Kind {
	case yaml.ScalarNode:
		e.Mode = function.EgressMode(n.Value)
		if e.Mode != function.EgressNone && e.Mode != function.EgressInternet {
			return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: the egress %q is not known: use none, internet or a list of networks", n.Line, n.Value)}}
		}
		return nil
	case yaml.SequenceNode:
		e.Mode = function.EgressAllow
		return n.Decode(&e.Allow)
	default:
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: egress is none, internet or a list of networks", n.Line)}}
	}
}
