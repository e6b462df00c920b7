package build

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	pythonNames   = []string{"lambda_function.py", "handler.py", "main.py", "app.py", "index.py"}
	pythonHandler = regexp.MustCompile(`(?m)^(?:def\s+(lambda_handler|handler)\s*\(|(lambda_handler|handler)\s*=)`)
)

func findPython(tree fs.FS, only, handler string) (*finding, error) {
	candidates := pythonCandidates(tree, only, handler)
	if len(candidates) == 0 {
		if only == "" && isFile(tree, "requirements.txt") {
			return &finding{kind: Python, missing: "requirements.txt is there, but no lambda_function.py, handler.py, main.py or app.py: name the handler with --handler FILE.FUNCTION"}, nil
		}
		return nil, nil
	}
	for _, name := range candidates {
		text, err := readSource(tree, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		m := pythonHandler.FindSubmatch(text)
		if handler == "" && m == nil {
			continue
		}
		f := &finding{kind: Python, entry: name, handler: handler, why: name + " is named by the handler"}
		if handler == "" {
			def := string(m[1]) + string(m[2])
			f.handler, f.why = strings.TrimSuffix(name, ".py")+"."+def, fmt.Sprintf("%s defines %s", name, def)
		}
		if only == "" && !isFile(tree, "requirements.txt") && isFile(tree, "pyproject.toml") {
			f.warnings = append(f.warnings, "the dependencies in pyproject.toml are not installed: write them to requirements.txt")
		}
		return f, nil
	}
	module := strings.TrimSuffix(candidates[0], ".py")
	return &finding{kind: Python, entry: candidates[0], missing: fmt.Sprintf(
		"%s defines no handler(event, context) at its top level: define one, or name the function with --handler %s.NAME", candidates[0], module)}, nil
}

// pythonCandidates lists the files that may hold the handler, best first.
func pythonCandidates(tree fs.FS, only, handler string) []string {
	names := pythonNames
	switch {
	case only != "":
		if path.Ext(only) != ".py" {
			return nil
		}
		names = []string{only}
	case handler != "":
		module := handler
		if i := strings.LastIndexByte(handler, '.'); i >= 0 {
			module = handler[:i]
		}
		module = strings.ReplaceAll(module, ".", "/")
		names = []string{module + ".py", path.Join(module, "__init__.py")}
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !fs.ValidPath(name) || !isFile(tree, name)
	})
}
