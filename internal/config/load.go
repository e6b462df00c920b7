package config

import (
	"maps"
	"path/filepath"
	"reflect"

	"github.com/spf13/pflag"
)

// keys is the table of keys. It never changes.
var keys = fieldsOf(reflect.TypeFor[Config]())

// Sources is where values come from, beside the defaults.
type Sources struct {
	// Flags is the set that [Flags] added to; nil: no flags.
	Flags *pflag.FlagSet
	// Environ holds NAME=value pairs, as [os.Environ] returns them.
	Environ []string
}

// Loaded is a configuration and where it came from.
type Loaded struct {
	Config Config
	// File is the file that was read; empty: none.
	File string
	// Warnings are sentences about what is probably not meant.
	Warnings []string

	settings map[string]setting
}

// Load reads and checks the configuration. The error is [KeyErrors] with everything
// that is wrong.
func Load(s Sources) (*Loaded, error) {
	l := &Loaded{settings: map[string]setting{}}
	var faults KeyErrors
	for _, f := range keys {
		l.settings[f.key] = setting{f.initial(), FromDefault, ""}
	}
	faults = append(faults, l.apply(l.settings)...)

	path, origin := findFile(s.Flags, s.Environ)
	if path != "" {
		content, err := readFile(path)
		if err != nil {
			faults = append(faults, Fault{Origin: origin, Reason: "the configuration file can't be read: " + err.Error()})
		}
		settings, bad := fromFile(path, content)
		faults = append(append(faults, bad...), l.apply(settings)...)
		l.File = path
	}
	settings, warnings := fromEnvironment(s.Environ)
	l.Warnings = append(l.Warnings, warnings...)
	faults = append(faults, l.apply(settings)...)
	faults = append(faults, l.apply(fromFlags(s.Flags))...)

	if dir, err := filepath.Abs(l.Config.DataDir); err == nil {
		l.Config.DataDir = dir
	}
	bad, warnings := l.Config.check(l.settings)
	faults = append(faults, bad...)
	l.Warnings = append(l.Warnings, warnings...)
	if len(faults) > 0 {
		return nil, faults
	}
	return l, nil
}

// apply lays settings over what is there. A faulty one changes nothing.
func (l *Loaded) apply(settings map[string]setting) KeyErrors {
	var faults KeyErrors
	v := reflect.ValueOf(&l.Config).Elem()
	for _, f := range keys { // in the order of keys, for a stable report
		s, ok := settings[f.key]
		if !ok {
			continue
		}
		if err := f.parse(v.Field(f.index), s.text); err != nil {
			faults = append(faults, Fault{f.key, s.origin, err.Error()})
		}
	}
	maps.Copy(l.settings, settings)
	return faults
}

// Row is one key with its value in force.
type Row struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// Source is one of [FromDefault], [FromFile], [FromEnvironment], [FromFlag].
	Source string `json:"source"`
	// Origin names the flag, the variable, or the file and line; empty for a
	// default.
	Origin string `json:"origin,omitempty"`
}

// hidden stands for the value of a secret.
const hidden = "•••"

// Show lists every key with the value in force and its source.
func (l *Loaded) Show() []Row {
	return show(keys, reflect.ValueOf(l.Config), l.settings)
}

func show(fields []field, v reflect.Value, settings map[string]setting) []Row {
	rows := make([]Row, 0, len(fields))
	for _, f := range fields {
		s := settings[f.key]
		row := Row{Key: f.key, Value: encode(v.Field(f.index)), Source: s.source, Origin: s.origin}
		if f.secret && row.Value != "" {
			row.Value = hidden
		}
		rows = append(rows, row)
	}
	return rows
}
