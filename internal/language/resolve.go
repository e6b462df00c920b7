package language

import (
	"fmt"
	"slices"
	"strings"

	"mayfly.dev/mayfly/internal/fault"
)

// Resolve answers what runs a runtime identifier, given the interpreters that
// [Scan] found: one of exactly the named version, else of the nearest newer one,
// with a warning. Of several it takes one from the system directories, then the
// highest patch. Errors: Invalid/"UnknownRuntime", Invalid/"DeprecatedRuntime",
// Unsupported/"RuntimeNotServed" for a language that the platform does not speak
// yet, Unsupported/"RuntimeNotFound" if the machine lacks the interpreter.
func Resolve(runtime string, found []Interpreter) (Resolution, error) {
	family, wanted, err := parse(runtime)
	if err != nil {
		return Resolution{}, err
	}
	if family == Provided {
		return Resolution{Runtime: runtime, Family: family}, nil
	}
	var best *Interpreter
	for i := range found {
		in := &found[i]
		if in.Family == family && in.release().line(family).compare(wanted) >= 0 && (best == nil || better(in, best)) {
			best = in
		}
	}
	if best == nil {
		return Resolution{}, notFound(runtime, family, wanted, found)
	}
	r := Resolution{Runtime: runtime, Family: family, Interpreter: *best}
	if best.release().line(family) != wanted {
		r.Warning = fmt.Sprintf("%s is not installed on this machine: %s %s runs the function instead",
			runtime, family.program(), best.Version)
	}
	return r, nil
}

// parse splits a runtime identifier into its family and the line it names.
func parse(runtime string) (Family, release, error) {
	if successor := deprecated[runtime]; successor != "" {
		return "", release{}, fault.New(fault.Invalid, "DeprecatedRuntime",
			"the runtime %s is no longer supported: use %s", runtime, successor)
	}
	if !slices.Contains(identifiers, runtime) {
		return "", release{}, fault.New(fault.Invalid, "UnknownRuntime",
			"the runtime %q is not known: use one of %s", runtime, strings.Join(served(), ", "))
	}
	for _, f := range []Family{Node, Python} {
		if number, ok := strings.CutPrefix(runtime, string(f)); ok {
			return f, parseRelease(number).line(f), nil
		}
	}
	if strings.HasPrefix(runtime, string(Provided)) {
		return Provided, release{}, nil
	}
	return "", release{}, fault.New(fault.Unsupported, "RuntimeNotServed",
		"the runtime %s is not supported yet: use nodejs22.x or python3.13, or bring a bootstrap with provided.al2023", runtime)
}

// served returns the identifiers of the languages that the platform speaks.
func served() []string {
	return slices.DeleteFunc(Identifiers(), func(id string) bool {
		_, _, err := parse(id)
		return err != nil
	})
}

// better reports whether a serves a request that both can serve better than b:
// an older line is nearer to the one that was asked for.
func better(a, b *Interpreter) bool {
	if c := a.release().line(a.Family).compare(b.release().line(b.Family)); c != 0 {
		return c < 0
	}
	if (a.Prefix == "") != (b.Prefix == "") {
		return a.Prefix == ""
	}
	if c := a.release().compare(b.release()); c != 0 {
		return c > 0
	}
	return a.Path < b.Path
}

func (in *Interpreter) release() release { return parseRelease(in.Version) }

// program is the name under which people know the family's interpreter.
func (f Family) program() string {
	switch f {
	case Node:
		return "Node.js"
	case Python:
		return "Python"
	case Provided:
		return "bootstrap"
	default:
		return string(f)
	}
}

// notFound says what the machine has and how to get what it lacks.
func notFound(runtime string, family Family, wanted release, found []Interpreter) error {
	have := "none was found"
	if lines := Lines(family, found); len(lines) > 0 {
		have = "found: " + strings.Join(lines, ", ")
	}
	install := fmt.Sprintf("python3.%[1]d (for example apt-get install python3.%[1]d, pyenv install 3.%[1]d or uv python install 3.%[1]d)", wanted[1])
	if family == Node {
		install = fmt.Sprintf("Node.js %[1]d (for example nvm install %[1]d, fnm install %[1]d or apt-get install nodejs)", wanted[0])
	}
	return fault.New(fault.Unsupported, "RuntimeNotFound",
		"no interpreter on this machine can run %s (%s): install %s or newer, then restart the node", runtime, have, install)
}

// Lines returns the runtime identifiers that the found interpreters of a family
// serve exactly, oldest first.
func Lines(family Family, found []Interpreter) []string {
	var lines []release
	for i := range found {
		if found[i].Family == family {
			lines = append(lines, found[i].release().line(family))
		}
	}
	slices.SortFunc(lines, release.compare)
	var names []string
	for _, l := range slices.Compact(lines) {
		names = append(names, l.identifier(family))
	}
	return names
}
