package shim

import (
	"maps"
	"strings"

	"mayfly.dev/mayfly/internal/sandbox"
)

// Where a function's files are inside a sandbox.
const (
	taskDir = "/var/task"
	optDir  = "/opt"
)

// pathVars are the environment variables whose values are lists of paths that
// the platform fills.
var pathVars = []string{"LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "PATH", "LD_LIBRARY_PATH", "NODE_PATH", "PYTHONPATH"}

// whereabouts knows where the paths of the contract are for a process of a
// sandbox: in their places, or elsewhere if the driver can't mount.
type whereabouts struct {
	mapper sandbox.PathMapper // nil: in their places
}

func newWhereabouts(sb sandbox.Sandbox) whereabouts {
	m, _ := sb.(sandbox.PathMapper)
	return whereabouts{mapper: m}
}

func (w whereabouts) path(inside string) string {
	if w.mapper == nil {
		return inside
	}
	return w.mapper.HostPath(inside)
}

// env returns vars with the paths that they name, and where /tmp is; vars itself
// is not changed.
func (w whereabouts) env(vars map[string]string) map[string]string {
	if w.mapper == nil {
		return vars
	}
	mapped := w.paths(vars)
	if _, ok := mapped["TMPDIR"]; !ok {
		mapped["TMPDIR"] = w.path("/tmp")
	}
	return mapped
}

// paths returns vars with the paths that they name; vars itself is not changed.
func (w whereabouts) paths(vars map[string]string) map[string]string {
	if w.mapper == nil {
		return vars
	}
	mapped := make(map[string]string, len(vars)+1)
	maps.Copy(mapped, vars)
	for _, name := range pathVars {
		if list := mapped[name]; list != "" {
			mapped[name] = w.list(list)
		}
	}
	return mapped
}

func (w whereabouts) list(paths string) string {
	parts := strings.Split(paths, ":")
	for i, p := range parts {
		if within(p, taskDir) || within(p, optDir) || within(p, runtimeDir) {
			parts[i] = w.path(p)
		}
	}
	return strings.Join(parts, ":")
}

func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
