// Package manifest reads mayfly.yaml, which describes an app of several
// functions, and publishes its JSON schema for editors. It reads one file and
// the environment that it is given; deploying is the caller's.
package manifest

import (
	"cmp"
	_ "embed" // the schema
	"maps"
	"path/filepath"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/function"
)

// FileName is the name of an app's manifest.
const FileName = "mayfly.yaml"

//go:generate go run ./gen mayfly.schema.json ../../../docs/mayfly.schema.json

// SchemaFile is the JSON schema of the manifest, for editors.
//
//go:embed mayfly.schema.json
var SchemaFile []byte

// App is a whole manifest.
type App struct {
	// Name names the app. Functions that leave the manifest are found by it when
	// they are pruned.
	Name string `yaml:"name" jsonschema:"pattern=^[a-zA-Z0-9_-]{1\\,64}$"`
	// Defaults apply to every function that doesn't set the same key. Environment
	// variables and tags are joined by name.
	Defaults Defaults `yaml:"defaults,omitempty"`
	// Functions lists the app's functions by name.
	Functions map[string]*Function `yaml:"functions"`

	// Dir is the folder of the manifest, which paths are relative to.
	Dir string `yaml:"-"`
}

// Defaults is what functions of an app have in common.
type Defaults struct {
	// Runtime is a runtime identifier, for example nodejs22.x, python3.13 or
	// provided.al2023. Left out, the newest that the node has is used.
	Runtime string `yaml:"runtime,omitempty"`
	// Architecture is that of the code. Left out, it is this machine's.
	Architecture string `yaml:"architecture,omitempty" jsonschema:"enum=x86_64,enum=arm64"`
	// Memory is in MB. The CPU share grows with it.
	Memory Megabytes `yaml:"memory,omitempty" jsonschema:"minimum=128,maximum=10240,default=128"`
	// Timeout bounds one invocation, for example 10s or 5m.
	Timeout Duration `yaml:"timeout,omitempty"`
	// Env holds environment variables. ${NAME} is replaced by the variable of the
	// deploying shell, ${NAME:-text} has a default, $$ is a dollar sign.
	Env map[string]string `yaml:"env,omitempty"`
	// URL says whether the function has a public address. The default is true.
	URL *bool `yaml:"url,omitempty" jsonschema:"default=true"`
	// Concurrency caps the concurrent invocations; 0 stops the function. Left
	// out, the node's own limit is the only one.
	Concurrency *int `yaml:"concurrency,omitempty" jsonschema:"minimum=0"`
	// EnvironmentConcurrency is how many invocations one environment runs at once.
	EnvironmentConcurrency *int `yaml:"environment_concurrency,omitempty" jsonschema:"minimum=1,maximum=1000,default=1"`
	// MinEnvironments are kept started, whether there are calls or not.
	MinEnvironments *int `yaml:"min_environments,omitempty" jsonschema:"minimum=0,maximum=100000,default=0"`
	// MaxEnvironments bounds the environments. Left out or 0, the node's bound is
	// the only one.
	MaxEnvironments *int `yaml:"max_environments,omitempty" jsonschema:"minimum=0,maximum=100000"`
	// QueueTimeout is how long an invocation may wait for an environment before it
	// is refused, for example 10s. Left out, it is the node's default.
	QueueTimeout Duration `yaml:"queue_timeout,omitempty"`
	// Egress is the policy for outgoing traffic: none, internet, or a list of
	// networks.
	Egress *Egress `yaml:"egress,omitempty"`
	// Tmp is the size of /tmp in MB.
	Tmp Megabytes `yaml:"tmp,omitempty" jsonschema:"minimum=512,maximum=10240,default=512"`
	// Idle is how long an idle environment is kept, for example 5m. Left out, the
	// node decides by the function's calls.
	Idle Duration `yaml:"idle,omitempty"`
	// Tags are free labels.
	Tags map[string]string `yaml:"tags,omitempty"`
}

// Function is one function of an app.
type Function struct {
	// Path is the folder, source file or zip, relative to the manifest.
	Path string `yaml:"path"`
	// Handler names the code that is called, for example index.handler. Left out,
	// it is detected.
	Handler string `yaml:"handler,omitempty"`
	// Description is free text of up to 256 characters.
	Description string `yaml:"description,omitempty" jsonschema:"maxLength=256"`

	Defaults `yaml:",inline"`
}

// Duration is a time span in Go's notation, such as 500ms, 10s or 1h30m.
type Duration time.Duration

// Megabytes is a size in MB. Written down, it is not 0.
type Megabytes int

// Egress is a policy for outgoing traffic.
type Egress function.Egress

// Names lists the functions in the order of their names.
func (a *App) Names() []string { return slices.Sorted(maps.Keys(a.Functions)) }

// Path returns the absolute path of a function's source.
func (a *App) Path(f *Function) string {
	if filepath.IsAbs(f.Path) {
		return f.Path
	}
	return filepath.Join(a.Dir, filepath.FromSlash(f.Path))
}

// HasURL reports whether the function gets a public address.
func (f *Function) HasURL() bool { return f.URL == nil || *f.URL }

// Settings returns what the manifest says about how the function runs. The
// runtime and the handler may be empty: then they are detected.
func (f *Function) Settings() function.Settings {
	s := function.Settings{
		Runtime: f.Runtime, Handler: f.Handler, Description: f.Description, Architecture: f.Architecture,
		MemoryMB: int(f.Memory), Timeout: time.Duration(f.Timeout), EphemeralMB: int(f.Tmp),
		Env: f.Env, IdleTimeout: time.Duration(f.Idle), Concurrency: number(f.EnvironmentConcurrency),
		MinEnvironments: number(f.MinEnvironments), MaxEnvironments: number(f.MaxEnvironments),
		QueueTimeout: time.Duration(f.QueueTimeout),
	}
	if f.Egress != nil {
		s.Egress = function.Egress(*f.Egress)
	}
	s.Fill()
	return s
}

// number is what was written, or 0, which stands for the default.
func number(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// inherit fills what the function left out.
func (f *Function) inherit(d Defaults) {
	f.Runtime = cmp.Or(f.Runtime, d.Runtime)
	f.Architecture = cmp.Or(f.Architecture, d.Architecture)
	f.Memory = cmp.Or(f.Memory, d.Memory)
	f.Timeout = cmp.Or(f.Timeout, d.Timeout)
	f.URL = cmp.Or(f.URL, d.URL)
	f.Concurrency = cmp.Or(f.Concurrency, d.Concurrency)
	f.EnvironmentConcurrency = cmp.Or(f.EnvironmentConcurrency, d.EnvironmentConcurrency)
	f.MinEnvironments = cmp.Or(f.MinEnvironments, d.MinEnvironments)
	f.MaxEnvironments = cmp.Or(f.MaxEnvironments, d.MaxEnvironments)
	f.QueueTimeout = cmp.Or(f.QueueTimeout, d.QueueTimeout)
	f.Egress = cmp.Or(f.Egress, d.Egress)
	f.Tmp = cmp.Or(f.Tmp, d.Tmp)
	f.Idle = cmp.Or(f.Idle, d.Idle)
	f.Env = join(d.Env, f.Env)
	f.Tags = join(d.Tags, f.Tags)
}

func join(defaults, own map[string]string) map[string]string {
	if len(defaults) == 0 {
		return own
	}
	all := maps.Clone(defaults)
	maps.Copy(all, own)
	return all
}
