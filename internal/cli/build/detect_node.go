package build

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"mayfly.dev/mayfly/internal/fault"
)

var (
	nodeExtensions = []string{".mjs", ".js", ".cjs", ".ts", ".mts", ".cts"}
	nodeNames      = []string{"index", "handler", "main", "app", "src/index", "src/handler", "src/main", "src/app"}
	// handlerNames are the exports that are taken for a handler, best first.
	handlerNames = []string{"handler", "lambdaHandler", "lambda_handler"}

	scriptComment = regexp.MustCompile(`(?ms)^\s*//.*?$|/\*.*?\*/`)
	usesESM       = regexp.MustCompile(`(?m)^\s*(?:export\s|import\s+[\w*{"'])`)
)

// packageJSON is what detection and installing read of a package.json.
type packageJSON struct {
	Main            string            `json:"main"`
	Type            string            `json:"type"`
	Dependencies    map[string]string `json:"dependencies"`
	DevDependencies map[string]string `json:"devDependencies"`
}

func readPackageJSON(tree fs.FS) (*packageJSON, error) {
	m := &packageJSON{}
	text, err := readSource(tree, "package.json")
	if err != nil { // that there is none is the usual case
		return m, nil //nolint:nilerr // an unreadable one is met when the tree is packed
	}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "PackageJSON", "package.json is not valid JSON: %v", err)
	}
	return m, nil
}

func findNode(tree fs.FS, only, handler string) (*finding, error) {
	if only != "" {
		if !slices.Contains(nodeExtensions, path.Ext(only)) {
			return nil, nil
		}
		return nodeFile(tree, []string{only}, &packageJSON{}, handler)
	}
	pkg, err := readPackageJSON(tree)
	if err != nil {
		return nil, err
	}
	candidates := nodeCandidates(tree, pkg, handler)
	if len(candidates) == 0 {
		if !isFile(tree, "package.json") {
			return nil, nil
		}
		return &finding{kind: Node, missing: "package.json is there, but no index.js, .mjs or .ts: name the handler with --handler FILE.EXPORT"}, nil
	}
	return nodeFile(tree, candidates, pkg, handler)
}

// nodeCandidates lists the files that may hold the handler, best first: the one
// that the handler names, package.json's main, then the usual names.
func nodeCandidates(tree fs.FS, pkg *packageJSON, handler string) []string {
	var bases, found []string
	if handler != "" {
		bases = []string{handlerModule(handler)}
	} else {
		bases = append(bases, path.Clean(pkg.Main), strings.TrimSuffix(path.Clean(pkg.Main), path.Ext(pkg.Main)))
		bases = append(bases, nodeNames...)
	}
	for _, base := range bases {
		names := []string{}
		if slices.Contains(nodeExtensions, path.Ext(base)) {
			names = append(names, base)
		}
		for _, ext := range nodeExtensions {
			names = append(names, base+ext)
		}
		for _, name := range names {
			if fs.ValidPath(name) && isFile(tree, name) && !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	return found
}

// handlerModule is the module of a handler such as src/app.handler.
func handlerModule(handler string) string {
	dir, file := path.Split(handler)
	module, _, _ := strings.Cut(file, ".")
	return dir + module
}

func nodeFile(tree fs.FS, candidates []string, pkg *packageJSON, handler string) (*finding, error) {
	for _, name := range candidates {
		text, err := readSource(tree, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		export := exported(text)
		if handler == "" && export == "" {
			continue
		}
		f := &finding{kind: nodeKind(name), entry: name, handler: handler, why: name + " is named by the handler"}
		if handler == "" {
			f.handler = strings.TrimSuffix(name, path.Ext(name)) + "." + export
			f.why = fmt.Sprintf("%s exports %s", name, export)
		}
		if path.Ext(name) == ".js" && pkg.Type != "module" && usesESM.Match(text) {
			f.warnings = append(f.warnings, name+` uses import or export, and older versions of Node.js refuse that: add "type": "module" to package.json or name it `+
				strings.TrimSuffix(name, ".js")+".mjs")
		}
		return f, nil
	}
	return &finding{kind: nodeKind(candidates[0]), entry: candidates[0], missing: fmt.Sprintf(
		"%s exports no handler that was recognised: export a function named handler, or name the export with --handler %s.NAME",
		candidates[0], strings.TrimSuffix(candidates[0], path.Ext(candidates[0])))}, nil
}

func nodeKind(name string) Kind {
	switch path.Ext(name) {
	case ".ts", ".mts", ".cts":
		return TypeScript
	default:
		return Node
	}
}

// exported returns the first of the handler names that a script's text exports.
// It reads text, not syntax: what it misses is named with --handler.
func exported(text []byte) string {
	text = scriptComment.ReplaceAll(text, nil)
	for i, patterns := range exportPatterns {
		for _, p := range patterns {
			if p.Match(text) {
				return handlerNames[i]
			}
		}
	}
	return ""
}

var exportPatterns = compileExports()

func compileExports() [][]*regexp.Regexp {
	forms := []string{
		`\bexports\.%s\s*=`,
		`\bexports\[["']%s["']\]\s*=`,
		`\bmodule\.exports\s*=\s*\{[^}]*\b%s\b`,
		`\bexport\s+(?:async\s+)?function\s*\*?\s*%s\b`,
		`\bexport\s+(?:const|let|var)\s+%s\b`,
		`\bexport\s*\{[^}]*\b%s\s*[,}]`,
		`__export\([^)]*\{[^}]*\b%s:`, // esbuild's bundles
	}
	all := make([][]*regexp.Regexp, len(handlerNames))
	for i, name := range handlerNames {
		for _, form := range forms {
			all[i] = append(all[i], regexp.MustCompile(fmt.Sprintf(form, name)))
		}
	}
	return all
}
