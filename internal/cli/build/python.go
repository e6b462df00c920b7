package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const requirements = "requirements.txt"

// python takes the folder as it is, with its requirements installed beside it.
func (b *Builder) python(ctx context.Context, src *Source) ([]entry, error) {
	own, err := collect(src)
	if err != nil || src.Only != "" || !exists(filepath.Join(src.Root, requirements)) {
		return own, err
	}
	deps, err := b.sitePackages(ctx, src, own)
	if err != nil || deps == "" {
		return own, err
	}
	installed, err := walk(deps, "", parseIgnore([]byte("/bin/\n__pycache__/\n*.pyc\n")))
	if err != nil {
		return nil, err
	}
	return merge(own, installed), nil
}

// sitePackages returns a folder of the cache into which the requirements are
// installed, or nothing if the file asks for nothing.
func (b *Builder) sitePackages(ctx context.Context, src *Source, own []entry) (string, error) {
	text, err := os.ReadFile(filepath.Join(src.Root, requirements))
	if err != nil {
		return "", err
	}
	asks, refersToFiles := readRequirements(string(text))
	if !asks {
		return "", nil
	}
	key, err := digestInputs(src, []string{requirements})
	if err != nil {
		return "", err
	}
	if refersToFiles { // then any file may matter
		whole, _, err := digestEntries(own)
		if err != nil {
			return "", err
		}
		key += "-" + whole
	}
	return b.cached("site-packages", key, func(tmp string) error {
		python, args := b.pip(ctx, src.Runtime)
		b.step("pip install")
		return run(ctx, command{
			name: python, dir: src.Root, install: "install Python 3 with pip, for example with apt-get install python3-pip",
			args: slices.Concat([]string{
				"-m", "pip", "install", "--requirement", requirements, "--target", tmp,
				"--disable-pip-version-check", "--no-input", "--no-compile", "--quiet",
			}, args),
		})
	})
}

// readRequirements reports whether a requirements file asks for anything, and
// whether it refers to other files of the folder.
func readRequirements(text string) (asks, refersToFiles bool) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		asks = true
		if strings.ContainsRune("-./", rune(line[0])) || strings.Contains(line, "file:") {
			refersToFiles = true
		}
	}
	return asks, refersToFiles
}

var pythonVersion = regexp.MustCompile(`^python(\d+\.\d+)$`)

// pip returns the interpreter that installs for a runtime, and what it must be
// told when it is of another version than the runtime.
func (b *Builder) pip(ctx context.Context, runtime string) (python string, args []string) {
	if b.Python != "" {
		return b.Python, nil
	}
	m := pythonVersion.FindStringSubmatch(runtime)
	if m == nil || versionOf(ctx, "python3") == m[1] {
		return "python3", nil
	}
	if name := "python" + m[1]; versionOf(ctx, name) == m[1] {
		return name, nil
	}
	return "python3", []string{"--python-version", m[1], "--only-binary", ":all:"}
}

// versionOf asks an interpreter in PATH for its version, such as "3.11". A
// version manager's shim may be in PATH without an interpreter behind it.
func versionOf(ctx context.Context, name string) string {
	out, err := exec.CommandContext(ctx, name, "-c", `import sys; print("%d.%d" % sys.version_info[:2])`).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
