package manifest

import (
	"fmt"
	"regexp"
	"strings"
)

// reference matches "$$" and "${...}".
var reference = regexp.MustCompile(`\$\$|\$\{[^}]*\}?`)

var variableName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// expand replaces ${NAME} and ${NAME:-default} by what env says, and $$ by a
// dollar sign. A dollar sign before anything else stands for itself. Nothing in
// a replacement is replaced again.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var failed error
	out := reference.ReplaceAllStringFunc(text, func(ref string) string {
		if ref == "$$" {
			return "$"
		}
		value, err := lookUp(ref, env)
		if err != nil && failed == nil {
			failed = err
		}
		return value
	})
	return out, failed
}

func lookUp(ref string, env func(string) (string, bool)) (string, error) {
	inner, closed := strings.CutSuffix(strings.TrimPrefix(ref, "${"), "}")
	name, fallback, hasFallback := strings.Cut(inner, ":-")
	if !closed || !variableName.MatchString(name) {
		return "", fmt.Errorf("%q is no variable: write ${NAME}, ${NAME:-default}, or $$ for a dollar sign", ref)
	}
	if value, ok := env(name); ok && (value != "" || !hasFallback) {
		return value, nil
	}
	if !hasFallback {
		return "", fmt.Errorf("the variable %s is not set: export it, or give a default as ${%s:-text}", name, name)
	}
	return fallback, nil
}
