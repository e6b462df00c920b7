package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mayfly.dev/mayfly/internal/fault"
)

const installNode = "install Node.js with npm, for example from https://nodejs.org"

// node takes the folder as it is, with its dependencies installed beside it.
func (b *Builder) node(ctx context.Context, src *Source) ([]entry, error) {
	own, err := collect(src)
	if err != nil || src.Only != "" {
		return own, err
	}
	deps, err := b.nodeModules(ctx, src)
	if err != nil || deps == "" {
		return own, err
	}
	own = slices.DeleteFunc(own, func(e entry) bool { return strings.HasPrefix(e.name, "node_modules/") })
	rules, err := readIgnore(src.Root)
	if err != nil {
		return nil, err
	}
	installed, err := walk(filepath.Join(deps, "node_modules"), "node_modules", append(rules, parseIgnore([]byte(".bin/\n.cache/\n.package-lock.json"))...))
	if err != nil {
		return nil, err
	}
	return merge(own, installed), nil
}

// nodeModules returns a folder of the cache whose node_modules holds what
// package.json asks for. It returns nothing if nothing is asked for, or if the
// user's own node_modules serves.
func (b *Builder) nodeModules(ctx context.Context, src *Source) (string, error) {
	pkg, err := readPackageJSON(os.DirFS(src.Root))
	if err != nil || len(pkg.Dependencies) == 0 || installed(src.Root) {
		return "", err
	}
	if err := checkInstallable(src.Root, pkg); err != nil {
		return "", err
	}
	files, verb := []string{"package.json"}, "install"
	for _, lock := range []string{"npm-shrinkwrap.json", "package-lock.json"} {
		if exists(filepath.Join(src.Root, lock)) {
			files, verb = append(files, lock), "ci"
			break
		}
	}
	if exists(filepath.Join(src.Root, ".npmrc")) { // for private registries; it never enters the package
		files = append(files, ".npmrc")
	}
	key, err := digestInputs(src, files)
	if err != nil {
		return "", err
	}
	return b.cached("node_modules", key, func(tmp string) error {
		if err := copyFiles(src.Root, tmp, files); err != nil {
			return err
		}
		b.step("npm %s", verb)
		return run(ctx, command{
			name: "npm", dir: tmp, install: installNode,
			args: []string{verb, "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"},
		})
	})
}

// installed reports whether the user's node_modules is at least as new as what
// it was installed from. Package managers other than npm leave no mark to
// compare with: what they installed is taken.
func installed(root string) bool {
	if !exists(filepath.Join(root, "node_modules")) {
		return false
	}
	mark, err := os.Stat(filepath.Join(root, "node_modules", ".package-lock.json"))
	if err != nil {
		return true
	}
	for _, name := range []string{"package-lock.json", "npm-shrinkwrap.json"} {
		if lock, err := os.Stat(filepath.Join(root, name)); err == nil && lock.ModTime().After(mark.ModTime()) {
			return false
		}
	}
	return true
}

// checkInstallable refuses what npm can't install from package.json alone.
func checkInstallable(root string, pkg *packageJSON) error {
	for _, lock := range []string{"yarn.lock", "pnpm-lock.yaml", "bun.lock"} {
		if exists(filepath.Join(root, lock)) {
			return fault.New(fault.Invalid, "NotInstalled",
				"the dependencies are locked by %s: install them with that package manager first, and node_modules is taken as it is", lock)
		}
	}
	for name, version := range pkg.Dependencies {
		for _, scheme := range []string{"file:", "link:", "portal:", "workspace:"} {
			if strings.HasPrefix(version, scheme) {
				return fault.New(fault.Invalid, "NotInstalled",
					"the dependency %s is a local folder (%s): run npm install first, and node_modules is taken as it is", name, version)
			}
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// digestInputs is the identity of an installation: the files that ask for it,
// the runtime and the architecture.
func digestInputs(src *Source, files []string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s\n", packFormat, src.Runtime, src.Architecture)
	for _, name := range files {
		digest, _, err := digestFile(filepath.Join(src.Root, name))
		if err != nil {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		fmt.Fprintf(h, "%q %s\n", name, digest)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func copyFiles(from, to string, names []string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o600); err != nil { //nolint:gosec // the names are the constants of our caller
			return err
		}
	}
	return nil
}
