package build

import (
	"bufio"
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// IgnoreFile is the name of the file that lists what a package leaves out, in
// the syntax of .gitignore.
const IgnoreFile = ".mayflyignore"

// defaultIgnore is what no function needs at run time, and what should not
// leave the developer's machine by accident (.env, .npmrc). The ignore file may
// take any of it back with a "!" line.
const defaultIgnore = `
.git/
.hg/
.svn/
.DS_Store
.idea/
.vscode/
*.swp
.env
.env.*
.npmrc
.venv/
venv/
__pycache__/
*.pyc
.pytest_cache/
.mypy_cache/
.ruff_cache/
.tox/
.coverage
.nyc_output/
node_modules/.bin/
node_modules/.cache/
/.mayfly/
/mayfly.yaml
/.mayflyignore
`

// ignoreRule is one line of an ignore file.
type ignoreRule struct {
	pattern *regexp.Regexp
	negated bool
	dirOnly bool
}

// ignore decides which paths a package leaves out; the last rule that matches
// wins.
type ignore []ignoreRule

// parseIgnore reads lines in the syntax of .gitignore. Lines that are no valid
// pattern match nothing, as git has it.
func parseIgnore(text []byte) ignore {
	var rules ignore
	scan := bufio.NewScanner(bytes.NewReader(text))
	for scan.Scan() {
		if r, ok := parseRule(scan.Text()); ok {
			rules = append(rules, r)
		}
	}
	return rules
}

func parseRule(line string) (ignoreRule, bool) {
	line = strings.TrimRight(line, " \t\r")
	if line == "" || line[0] == '#' {
		return ignoreRule{}, false
	}
	var r ignoreRule
	if r.negated = line[0] == '!'; r.negated {
		line = line[1:]
	}
	line = strings.TrimPrefix(line, `\`) // for names that begin with # or !
	if r.dirOnly = strings.HasSuffix(line, "/"); r.dirOnly {
		line = strings.TrimSuffix(line, "/")
	}
	anchored := strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return ignoreRule{}, false
	}
	expr := translate(line)
	if anchored {
		expr = "^" + expr + "$"
	} else {
		expr = "^(?:.*/)?" + expr + "$"
	}
	var err error
	r.pattern, err = regexp.Compile(expr)
	return r, err == nil
}

// translate turns a glob into a regular expression: "*" and "?" stay within one
// path element, "**" crosses them.
func translate(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); {
		rest := glob[i:]
		switch {
		case strings.HasPrefix(rest, "**/"):
			b.WriteString("(?:.*/)?")
			i += 3
		case strings.HasPrefix(rest, "**"):
			b.WriteString(".*")
			i += 2
		case rest[0] == '*':
			b.WriteString("[^/]*")
			i++
		case rest[0] == '?':
			b.WriteString("[^/]")
			i++
		case rest[0] == '[':
			class, n := translateClass(rest)
			b.WriteString(class)
			i += n
		case rest[0] == '\\' && len(rest) > 1:
			b.WriteString(regexp.QuoteMeta(rest[1:2]))
			i += 2
		default:
			b.WriteString(regexp.QuoteMeta(rest[:1]))
			i++
		}
	}
	return b.String()
}

// translateClass reads a bracket expression at the start of s and returns its
// regular expression and its length. A bracket that is never closed is itself.
func translateClass(s string) (string, int) {
	end := strings.IndexByte(s[1:], ']')
	if end < 1 {
		return `\[`, 1
	}
	class := strings.ReplaceAll(s[1:1+end], `\`, `\\`)
	class = strings.ReplaceAll(class, "[", `\[`)
	if negated, ok := strings.CutPrefix(class, "!"); ok {
		class = "^" + negated
	}
	return "[" + class + "]", end + 2
}

// match reports whether the slash path below the root is left out. A path below
// an ignored folder is the caller's matter: it doesn't descend.
func (rules ignore) match(path string, dir bool) bool {
	for _, r := range slices.Backward(rules) {
		if (dir || !r.dirOnly) && r.pattern.MatchString(path) {
			return !r.negated
		}
	}
	return false
}
