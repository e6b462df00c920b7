package build

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"mayfly.dev/mayfly/internal/fault"
)

// requireInModules gives bundled CommonJS packages the require function that
// ES modules lack.
const requireInModules = `import { createRequire as __mayflyRequire } from "node:module"; const require = __mayflyRequire(import.meta.url);`

// typescript bundles the entry with everything it imports into one script, and
// adds the folder's other files, which code may read at run time.
func (b *Builder) typescript(ctx context.Context, src *Source) ([]entry, error) {
	deps := ""
	if src.Only == "" {
		var err error
		if deps, err = b.nodeModules(ctx, src); err != nil {
			return nil, err
		}
	}
	b.step("bundle %s", src.Entry)
	bundle, err := bundleScript(src, deps)
	if err != nil || src.Only != "" {
		return bundle, err
	}
	own, err := collect(src)
	if err != nil {
		return nil, err
	}
	return merge(bundle, slices.DeleteFunc(own, func(e entry) bool { return bundled(e.name) })), nil
}

// bundled reports whether a file of the folder is of no use beside the bundle.
func bundled(name string) bool {
	if strings.HasPrefix(name, "node_modules/") {
		return true
	}
	switch path.Ext(name) {
	case ".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx":
		return true
	}
	switch path.Base(name) {
	case "package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "tsconfig.json":
		return true
	}
	return false
}

func bundleScript(src *Source, deps string) ([]entry, error) {
	opts, err := bundleOptions(src, deps)
	if err != nil {
		return nil, err
	}
	result := api.Build(opts)
	if len(result.Errors) > 0 {
		return nil, bundleFault(result.Errors)
	}
	for _, w := range result.Warnings {
		src.Warnings = append(src.Warnings, message(w))
	}
	var entries []entry
	for _, f := range result.OutputFiles {
		rel, err := filepath.Rel(opts.Outdir, f.Path)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{name: filepath.ToSlash(rel), data: f.Contents})
	}
	return entries, nil
}

func bundleOptions(src *Source, deps string) (api.BuildOptions, error) {
	opts := api.BuildOptions{
		AbsWorkingDir: src.Root, EntryPoints: []string{"./" + src.Entry},
		Outdir: filepath.Join(src.Root, ".mayfly-out"), Outbase: src.Root, // Write is off: nothing is made there
		Bundle: true, Platform: api.PlatformNode, Engines: engine(src.Runtime), KeepNames: true,
		Sourcemap: api.SourceMapLinked, SourcesContent: api.SourcesContentInclude,
		Loader:   map[string]api.Loader{".node": api.LoaderCopy},
		LogLevel: api.LogLevelSilent, LogLimit: 20,
		Format: api.FormatCommonJS, OutExtension: map[string]string{".js": ".cjs"},
	}
	if deps != "" {
		opts.NodePaths = []string{filepath.Join(deps, "node_modules")}
	}
	esm, err := isESM(src)
	if esm {
		opts.Format, opts.OutExtension = api.FormatESModule, map[string]string{".js": ".mjs"}
		opts.MainFields = []string{"module", "main"}
		opts.Banner = map[string]string{"js": requireInModules}
	}
	return opts, err
}

// engine is the version that a runtime promises: what it lacks is compiled away.
func engine(runtime string) []api.Engine {
	version := strings.TrimSuffix(strings.TrimPrefix(runtime, "nodejs"), ".x")
	if version == "" || strings.Trim(version, "0123456789") != "" {
		return nil
	}
	return []api.Engine{{Name: api.EngineNode, Version: version}}
}

// isESM follows Node's own rules for the entry's name and package.json's type.
func isESM(src *Source) (bool, error) {
	switch path.Ext(src.Entry) {
	case ".mts":
		return true, nil
	case ".cts":
		return false, nil
	}
	if src.Only != "" {
		return true, nil
	}
	pkg, err := readPackageJSON(os.DirFS(src.Root))
	if err != nil {
		return false, err
	}
	return pkg.Type == "module", nil
}

func bundleFault(errs []api.Message) error {
	lines := make([]string, len(errs))
	for i, m := range errs {
		lines[i] = message(m)
	}
	return fault.New(fault.Invalid, "BuildFailed", "the TypeScript bundle failed:\n%s", strings.Join(lines, "\n"))
}

func message(m api.Message) string {
	text := m.Text
	if strings.HasPrefix(text, "Could not resolve") {
		text += `: is it in "dependencies" of package.json?`
	}
	if m.Location == nil {
		return text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.Location.File, m.Location.Line, m.Location.Column+1, text)
}
