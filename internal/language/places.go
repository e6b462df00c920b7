package language

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// maxCandidates bounds how many programs one scan looks at.
const maxCandidates = 256

// programs matches the file names that an interpreter may have.
var programs = regexp.MustCompile(`^(node|nodejs|python|python3|python3\.[0-9]{1,2})$`)

// places is where a scan looks.
type places struct {
	path string              // as $PATH
	home string              // the user's home directory; empty: none
	env  func(string) string // where version managers were told to live
	root string              // of the file system; "/" but in tests
}

func here() places {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // then there are no version managers of this user
	}
	return places{path: os.Getenv("PATH"), home: home, env: os.Getenv, root: "/"}
}

// managers lists where version managers keep their interpreters: below the
// directory that a variable names, or below the home directory.
var managers = []struct{ variable, home, pattern string }{
	{"PYENV_ROOT", ".pyenv", "versions/*/bin"},
	{"NVM_DIR", ".nvm", "versions/node/*/bin"},
	{"FNM_DIR", ".local/share/fnm", "node-versions/*/installation/bin"},
	{"FNM_DIR", ".fnm", "node-versions/*/installation/bin"},
	{"VOLTA_HOME", ".volta", "tools/image/node/*/bin"},
	{"ASDF_DATA_DIR", ".asdf", "installs/*/*/bin"},
	{"MISE_DATA_DIR", ".local/share/mise", "installs/*/*/bin"},
	{"UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", "*/bin"},
	{"N_PREFIX", "n", "n/versions/node/*/bin"},
}

// system lists the directories that are looked at whatever the environment is.
var system = []string{
	"usr/bin", "usr/local/bin", "opt/*/bin", "opt/*/*/bin", "usr/local/n/versions/node/*/bin",
	"opt/homebrew/bin", "home/linuxbrew/.linuxbrew/bin",
}

// candidates returns the files that may be interpreters, each once, symbolic
// links resolved.
func (p places) candidates() []string {
	var files []string
	seen := make(map[string]bool)
	for _, dir := range p.dirs() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // a directory of the list that this machine does not have
		}
		for _, e := range entries {
			if !programs.MatchString(e.Name()) {
				continue
			}
			file, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
			if err != nil || seen[file] || len(files) == maxCandidates {
				continue
			}
			seen[file] = true
			files = append(files, file)
		}
	}
	return files
}

// dirs returns the directories to look at, each once, those of $PATH first.
func (p places) dirs() []string {
	var dirs []string
	for _, dir := range filepath.SplitList(p.path) {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, p.unshimmed(filepath.Clean(dir))...)
		}
	}
	for _, pattern := range system {
		dirs = append(dirs, glob(filepath.Join(p.root, pattern))...)
	}
	for _, m := range managers {
		base := p.env(m.variable)
		if base == "" && p.home != "" {
			base = filepath.Join(p.home, m.home)
		}
		if base != "" {
			dirs = append(dirs, glob(filepath.Join(base, m.pattern))...)
		}
	}
	seen := make(map[string]bool)
	unique := dirs[:0]
	for _, dir := range dirs {
		if !seen[dir] {
			seen[dir] = true
			unique = append(unique, dir)
		}
	}
	return unique
}

// unshimmed returns dir, or where the real programs are if dir holds a version
// manager's shims: scripts that are slow and run the selected version only.
func (p places) unshimmed(dir string) []string {
	if filepath.Base(dir) != "shims" {
		return []string{dir}
	}
	base := filepath.Dir(dir)
	return append(glob(filepath.Join(base, "versions/*/bin")), glob(filepath.Join(base, "installs/*/*/bin"))...)
}

func glob(pattern string) []string {
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		return nil // a home directory with a bracket in its name
	}
	return dirs
}

// prefix returns what must be mounted for the program at path, whose language
// was installed to home, to run in a sandbox; empty: the system directories.
func prefix(path, home string) string {
	for _, dir := range []string{"/usr", "/bin", "/lib", "/lib64"} {
		if strings.HasPrefix(path, dir+"/") {
			return ""
		}
	}
	if strings.HasPrefix(path, "/nix/store/") {
		return "/nix/store" // its programs need their neighbours
	}
	if before, _, ok := strings.Cut(path, "/Cellar/"); ok {
		return before // Homebrew: the same
	}
	return home
}
