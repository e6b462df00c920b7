package shim

import (
	"maps"
	"slices"
	"strings"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

// names is a set of environment variables.
type names struct {
	prefixes []string
	exact    []string
	except   []string // of the prefixes; those that end in "*" are prefixes themselves
}

// read at start, by the C library and by each interpreter: a value that comes
// with the init frame comes too late for them. Where a program may read a
// variable at any time, it is listed, which costs its functions a whole start
// and nothing else.
var (
	readByAll = names{
		prefixes: []string{"LD_", "LC_", "MALLOC_", "GLIBC_"},
		exact:    []string{"LANG", "LANGUAGE", "LOCPATH", "GCONV_PATH", "RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES"},
	}
	readBy = map[language.Family]names{
		language.Node: {
			prefixes: []string{"NODE_", "UV_", "OPENSSL_", "SSL_CERT_", "ICU_", "V8_"},
			// Node.js looks at the last two when it is asked to; those of libraries
			// are no business of its own.
			except: []string{"NODE_ENV", "NODE_CONFIG*", "NODE_APP_*", "NODE_PATH", "NODE_TLS_REJECT_UNAUTHORIZED"},
		},
		language.Python: {
			prefixes: []string{"PYTHON"},
			except:   []string{"PYTHONPATH"}, // the shim puts it into sys.path
		},
	}
)

func (n names) has(name string) bool {
	if slices.Contains(n.exact, name) {
		return true
	}
	if !slices.ContainsFunc(n.prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
		return false
	}
	return !slices.ContainsFunc(n.except, func(e string) bool {
		prefix, some := strings.CutSuffix(e, "*")
		return name == e || some && strings.HasPrefix(name, prefix)
	})
}

func readAtStart(f language.Family, name string) bool {
	return readByAll.has(name) || readBy[f].has(name)
}

// startEnv returns the variables that an interpreter starts with, out of all that
// its process will have: what is the same for every function, and what it reads
// at no other time. The shim takes the whole environment from the init frame, so
// that a runtime that was started before it was known for whom is no other than
// one that was started for its version, and a function's secrets are not in
// /proc/self/environ.
func startEnv(in language.Interpreter, env map[string]string) map[string]string {
	start := runtimeapi.Fixed(in)
	for name, value := range env {
		if readAtStart(in.Family, name) {
			start[name] = value
		}
	}
	return start
}

// Binds implements [runtimeapi.Stemmer].
func (a *Adapter) Binds(v *function.Version) bool {
	family, served := familyOf(v.Runtime)
	if !served {
		return false
	}
	fixed := runtimeapi.Fixed(language.Interpreter{})
	for name, value := range v.Env {
		if was, ok := fixed[name]; readAtStart(family, name) && (!ok || was != value) {
			return false
		}
	}
	return true
}

// familyOf returns the shim's family that serves a runtime identifier.
func familyOf(runtime string) (language.Family, bool) {
	for f := range readBy {
		if strings.HasPrefix(runtime, string(f)) {
			return f, true
		}
	}
	return "", false
}

// binds reports whether a runtime that started with the variables of startEnv
// alone can take env.
func binds(in language.Interpreter, env map[string]string) bool {
	return maps.Equal(startEnv(in, env), startEnv(in, nil))
}
