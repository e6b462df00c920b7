package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// The names of the sources of a value.
const (
	FromDefault     = "default"
	FromFile        = "file"
	FromEnvironment = "environment"
	FromFlag        = "flag"
)

const (
	fileFlag     = "config"
	fileVariable = "MAYFLY_CONFIG"
	// maxFileBytes bounds the file: all keys together take less than 4 KiB.
	maxFileBytes = 1 << 20
)

// clientVariables are set for the clients of a node; they are no keys.
var clientVariables = map[string]bool{
	fileVariable: true, "MAYFLY_ENDPOINT": true, "MAYFLY_TOKEN": true, "MAYFLY_NAMESPACE": true,
}

// setting is one value as a source wrote it.
type setting struct {
	text, source, origin string
}

// Flags adds a flag for every key, and --config, to a command's flags.
func Flags(fs *pflag.FlagSet) {
	fs.String(fileFlag, "", "configuration file (default: "+strings.Join(defaultFiles(), ", ")+")")
	for _, f := range keys {
		usage := summary(docs[f.key])
		if len(f.enum) > 0 {
			usage += ": " + strings.Join(f.enum, ", ")
		}
		fs.Var(&flagValue{}, f.flag(), fmt.Sprintf("%s (default %s)", usage, f.def))
	}
}

// summary is the first sentence of a doc text, without its stop, beginning as
// the help of a flag does.
func summary(doc string) string {
	first, _, _ := strings.Cut(doc, ". ")
	first, _, _ = strings.Cut(first, ".\n")
	return strings.TrimSuffix(first, ".")
}

// flagValue holds the text of a flag until all sources are read together, so
// that a faulty flag is reported with all other faults.
type flagValue struct{ text string }

func (v *flagValue) String() string     { return v.text }
func (v *flagValue) Set(s string) error { v.text = s; return nil }
func (v *flagValue) Type() string       { return "value" }

func fromFlags(fs *pflag.FlagSet) map[string]setting {
	settings := map[string]setting{}
	if fs == nil {
		return settings
	}
	for _, f := range keys {
		if flag := fs.Lookup(f.flag()); flag != nil && flag.Changed {
			settings[f.key] = setting{flag.Value.String(), FromFlag, "flag --" + f.flag()}
		}
	}
	return settings
}

// fromEnvironment reads MAYFLY_ variables. An unknown one is a warning and not a
// fault: it may be meant for another program, or for another version of this one.
func fromEnvironment(environ []string) (settings map[string]setting, warnings []string) {
	settings = map[string]setting{}
	byVariable := map[string]string{}
	for _, f := range keys {
		byVariable[f.env()] = f.key
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "MAYFLY_") || clientVariables[name] || value == "" {
			continue
		}
		key, known := byVariable[name]
		if !known {
			warnings = append(warnings, fmt.Sprintf("the environment variable %s sets nothing: there is no such key%s", name, suggest(strings.ToLower(strings.TrimPrefix(name, "MAYFLY_")))))
			continue
		}
		settings[key] = setting{value, FromEnvironment, "environment " + name}
	}
	return settings, warnings
}

// fromFile reads a file of keys and values.
func fromFile(path string, content []byte) (map[string]setting, KeyErrors) {
	name := filepath.Base(path)
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, KeyErrors{{Origin: path, Reason: "the file is not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}}
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, KeyErrors{{Origin: path, Reason: "the file holds more than one YAML document: keep the first"}}
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		if len(doc.Content) == 1 && doc.Content[0].Tag == "!!null" {
			return nil, nil
		}
		return nil, KeyErrors{{Origin: path, Reason: "the file must hold keys with values, for example: log_level: debug"}}
	}
	settings, faults := map[string]setting{}, KeyErrors{}
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		origin := fmt.Sprintf("%s:%d", name, key.Line)
		_, twice := settings[key.Value]
		switch {
		case !known(key.Value):
			faults = append(faults, Fault{key.Value, origin, "there is no such key" + suggest(key.Value)})
		case twice:
			faults = append(faults, Fault{key.Value, origin, "the key is set twice"})
		case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
			faults = append(faults, Fault{key.Value, origin, "the value must be a single word or number"})
		default:
			settings[key.Value] = setting{value.Value, FromFile, origin}
		}
	}
	return settings, faults
}

// findFile returns the path of the file to read, and "" if there is none: the
// flag's, else the variable's, else the first default that exists.
func findFile(fs *pflag.FlagSet, environ []string) (path, origin string) {
	if fs != nil {
		if flag := fs.Lookup(fileFlag); flag != nil && flag.Changed {
			return flag.Value.String(), "flag --" + fileFlag
		}
	}
	for _, pair := range environ {
		if path, ok := strings.CutPrefix(pair, fileVariable+"="); ok && path != "" {
			return path, "environment " + fileVariable
		}
	}
	for _, path := range defaultFiles() {
		if _, err := os.Stat(path); err == nil {
			return path, ""
		}
	}
	return "", ""
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	err = errors.Join(err, f.Close())
	if err == nil && len(content) > maxFileBytes {
		err = fmt.Errorf("the file is larger than %s", Size(maxFileBytes))
	}
	return content, err
}
