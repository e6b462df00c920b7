package archive

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// kind is what a path of a package is.
type kind uint8

const (
	absent kind = iota
	directory
	regular
	symlink
)

// maxNameBytes is what file systems take as one name.
const maxNameBytes = 255

// maxHops bounds the links that resolving one link may pass, as kernels do.
const maxHops = 40

// tree is what a package unpacks to, known before anything is written.
type tree struct {
	limits Limits
	nodes  map[string]kind
	// targets are what the symbolic links say.
	targets map[string]string
}

func newTree(limits Limits) *tree {
	return &tree{limits: limits, nodes: map[string]kind{}, targets: map[string]string{}}
}

// clean returns the path that an entry's name stands for, without the slash
// that marks directories; "" is the root.
func (t *tree) clean(name string) (string, error) {
	p := strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	switch {
	case name == "":
		return "", unsafePath(name, "is empty")
	case p == "" && (name == "./" || name == "."), p == ".":
		return "", nil
	case strings.ContainsRune(name, 0):
		return "", unsafePath(name, "has a NUL byte")
	case strings.ContainsRune(name, '\\'):
		return "", unsafePath(name, `has a backslash where paths have "/"`)
	case !utf8.ValidString(name):
		return "", unsafePath(name, "is not UTF-8")
	case strings.HasPrefix(name, "/"):
		return "", unsafePath(name, "is absolute")
	case len(p) > t.limits.PathBytes:
		return "", unsafePath(p[:64]+"...", "is too long")
	}
	parts := strings.Split(p, "/")
	if len(parts) > t.limits.Depth {
		return "", unsafePath(name, "is too deep")
	}
	for _, part := range parts {
		switch {
		case part == "" || part == "." || part == "..":
			return "", unsafePath(name, `has an empty name, "." or ".."`)
		case len(part) > maxNameBytes:
			return "", unsafePath(name, "has a name that is too long")
		}
	}
	return p, nil
}

// add notes that the path p is of kind k, and the directories above it.
func (t *tree) add(p string, k kind) error {
	switch was := t.nodes[p]; {
	case was == directory && k == directory:
		return nil
	case was != absent:
		return unsafePath(p, "comes twice")
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if was := t.nodes[dir]; was == directory {
			break // and so are those above it
		} else if was != absent {
			return unsafePath(p, "is below a file or a link")
		}
		t.nodes[dir] = directory
	}
	t.nodes[p] = k
	if len(t.nodes) > t.limits.Nodes {
		return tooManyFiles(t.limits.Nodes)
	}
	return nil
}

// directories lists the directories, each after the one that it is in.
func (t *tree) directories() []string {
	var dirs []string
	for p, k := range t.nodes {
		if k == directory {
			dirs = append(dirs, p)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// link notes what the symbolic link p says.
func (t *tree) link(p, target string) error {
	switch {
	case target == "" || len(target) > t.limits.PathBytes || strings.ContainsRune(target, 0):
		return unsafePath(p, "is a link whose target is empty, too long or not a path")
	case strings.HasPrefix(target, "/"):
		return unsafePath(p, "is a link to an absolute path")
	}
	t.targets[p] = target
	return nil
}

// contained fails if following one of the links, and those met on the way,
// would leave the tree. That can't be seen from a target alone: "a/.." is
// somewhere else when a is itself a link.
func (t *tree) contained() error {
	for p, target := range t.targets {
		if !t.stays(path.Dir(p), target) {
			return unsafePath(p, "is a link that leaves the package or goes in circles")
		}
	}
	return nil
}

func (t *tree) stays(dir, target string) bool {
	var at []string // where we are, below the root
	if dir != "." {
		at = strings.Split(dir, "/")
	}
	todo := strings.Split(target, "/")
	for hops := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return false
			}
			at = at[:len(at)-1]
			continue
		}
		at = append(at, name)
		next, isLink := t.targets[strings.Join(at, "/")]
		if !isLink {
			continue
		}
		if hops++; hops > maxHops {
			return false
		}
		at = at[:len(at)-1]
		todo = append(strings.Split(next, "/"), todo...)
	}
	return true
}
