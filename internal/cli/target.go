package cli

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/cli/build"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
)

// appTag marks the functions of an app.
const appTag = "mayfly:app"

func withApp(tags map[string]string, app string) map[string]string {
	all := maps.Clone(tags)
	if all == nil {
		all = map[string]string{}
	}
	all[appTag] = app
	return all
}

// target is one function as it should be.
type target struct {
	name, path, architecture string
	// settings is all there is to say if whole is set; else only its runtime and
	// handler count, where given, and change is made to what is deployed.
	settings function.Settings
	whole    bool
	change   func(*function.Settings)
	// tags nil means that they stay; url nil: a new function gets one, an old one
	// stays as it is.
	tags map[string]string
	url  *bool
	// reserved is the reserved concurrency to bring about, nil: none, if setsReserved is set.
	reserved     *int
	setsReserved bool
	// skip leaves a function of the app alone.
	skip bool
}

// deployment brings targets about.
type deployment struct {
	*app
	client   *client.Client
	appName  string
	builder  *build.Builder
	runtimes *wire.RuntimeList
}

// prepare detects and builds a target, and finds out what to do for it.
func (d *deployment) prepare(ctx context.Context, t *target) (*step, error) {
	now, err := d.present(ctx, t.name)
	if err != nil {
		return nil, err
	}
	if err := d.checkOwner(t, now); err != nil {
		return nil, err
	}
	src, err := build.Detect(build.Request{
		Path: t.path, Runtime: t.settings.Runtime, Handler: t.settings.Handler, Architecture: t.architecture,
		Newest: func(f language.Family) (string, error) { return d.newest(ctx, f, now) },
	})
	if err != nil {
		return nil, err
	}
	d.note("%s: %s, %s, handler %s (%s)", d.style(d.Err, bold, t.name), src.Kind, src.Runtime, src.Handler, src.Why)
	builder := *d.builder
	if src.Kind == build.Python {
		builder.Python = d.python(ctx, src.Runtime)
	}
	pkg, err := builder.Build(ctx, src)
	if err != nil {
		return nil, err
	}
	want := t.desired(src, now)
	if err := want.Check(); err != nil {
		return nil, err
	}
	return newStep(t, src, pkg, now, toWire(want)), nil
}

// present returns the deployed function, or nil if there is none.
func (d *deployment) present(ctx context.Context, name string) (*wire.Function, error) {
	f, err := d.client.Function(ctx, name)
	switch {
	case fault.Is(err, fault.NotFound, ""):
		return nil, nil
	case err != nil:
		return nil, err
	default:
		return &f, nil
	}
}

// checkOwner refuses to take a function from another app.
func (d *deployment) checkOwner(t *target, now *wire.Function) error {
	if now == nil || d.appName == "" {
		return nil
	}
	if owner := now.Tags[appTag]; owner != "" && owner != d.appName {
		return fault.New(fault.Conflict, "FunctionOfOtherApp",
			"the function %s belongs to the app %s: give it another name here, or delete it there", t.name, owner)
	}
	return nil
}

// desired is the settings that the target asks for, filled and complete.
func (t *target) desired(src *build.Source, now *wire.Function) function.Settings {
	s := t.settings
	if now != nil {
		old := fromWire(now.Settings)
		if !t.whole {
			s = old
		}
		// What neither flags nor manifests can say stays as other clients set it.
		s.Role, s.TracingMode, s.LogFormat, s.LogGroup = old.Role, old.TracingMode, old.LogFormat, old.LogGroup
	}
	s.Runtime, s.Handler, s.Architecture = src.Runtime, src.Handler, src.Architecture
	s.Env = maps.Clone(s.Env)
	if t.change != nil {
		t.change(&s)
	}
	s.Fill()
	return s
}

// newest picks a family's runtime: the one that the function has, if it is of
// that family, else the newest that the node serves without a substitute.
func (d *deployment) newest(ctx context.Context, family language.Family, now *wire.Function) (string, error) {
	if now != nil && strings.HasPrefix(now.Settings.Runtime, string(family)) {
		return now.Settings.Runtime, nil
	}
	list, err := d.nodeRuntimes(ctx)
	if err != nil {
		return "", err
	}
	best := slices.MaxFunc(append([]wire.Runtime{{}}, list.Runtimes...), func(a, b wire.Runtime) int {
		return slices.Compare(rank(a, family), rank(b, family))
	})
	if rank(best, family)[0] == 0 {
		return "", fault.New(fault.Unsupported, "RuntimeNotFound",
			`the node has no interpreter for %s: install one (see "mayfly doctor") and restart the node`, family)
	}
	return best.Identifier, nil
}

// rank orders runtimes: those of another family or without an interpreter last,
// exact ones before substitutes, then by version. A substitute is of the version
// closest to its interpreter's, which is the newest again.
func rank(r wire.Runtime, family language.Family) []int {
	if !r.Available || r.Family != string(family) {
		return []int{0}
	}
	exact := 1
	if r.Warning == "" {
		exact = 2
	}
	version := strings.TrimSuffix(strings.TrimPrefix(r.Identifier, string(family)), ".x")
	parts := []int{exact}
	for part := range strings.SplitSeq(version, ".") {
		n, _ := strconv.Atoi(part) // what is no number ranks as 0
		parts = append(parts, n)
	}
	return parts
}

func (d *deployment) nodeRuntimes(ctx context.Context) (*wire.RuntimeList, error) {
	if d.runtimes != nil {
		return d.runtimes, nil
	}
	list, err := d.client.Runtimes(ctx)
	if err != nil {
		return nil, err
	}
	d.runtimes = &list
	return d.runtimes, nil
}

// python is the interpreter that will run the function, if it is on this machine
// too: what it installs fits. Empty: the builder finds one.
func (d *deployment) python(ctx context.Context, runtime string) string {
	list, err := d.nodeRuntimes(ctx)
	if err != nil {
		return ""
	}
	for _, r := range list.Runtimes {
		if r.Identifier == runtime && r.Interpreter != nil {
			if _, err := os.Stat(r.Interpreter.Path); err == nil {
				return r.Interpreter.Path
			}
		}
	}
	return ""
}

func toWire(s function.Settings) wire.Settings {
	return wire.Settings{
		Runtime: s.Runtime, Handler: s.Handler, Description: s.Description, Role: s.Role, Architecture: s.Architecture,
		MemoryMB: s.MemoryMB, TimeoutSeconds: s.Timeout.Seconds(), EphemeralMB: s.EphemeralMB, Env: s.Env,
		Egress:             &wire.Egress{Mode: string(s.Egress.Mode), Allow: s.Egress.Allow},
		IdleTimeoutSeconds: s.IdleTimeout.Seconds(), Concurrency: s.Concurrency,
		MinEnvironments: s.MinEnvironments, MaxEnvironments: s.MaxEnvironments, QueueTimeoutSeconds: s.QueueTimeout.Seconds(),
		TracingMode: s.TracingMode, LogFormat: s.LogFormat, LogGroup: s.LogGroup,
	}
}

func fromWire(w wire.Settings) function.Settings {
	egress := cmp.Or(w.Egress, &wire.Egress{})
	return function.Settings{
		Runtime: w.Runtime, Handler: w.Handler, Description: w.Description, Role: w.Role, Architecture: w.Architecture,
		MemoryMB: w.MemoryMB, Timeout: seconds(w.TimeoutSeconds), EphemeralMB: w.EphemeralMB, Env: w.Env,
		Egress:      function.Egress{Mode: function.EgressMode(egress.Mode), Allow: egress.Allow},
		IdleTimeout: seconds(w.IdleTimeoutSeconds), Concurrency: w.Concurrency,
		MinEnvironments: w.MinEnvironments, MaxEnvironments: w.MaxEnvironments, QueueTimeout: seconds(w.QueueTimeoutSeconds),
		TracingMode: w.TracingMode, LogFormat: w.LogFormat, LogGroup: w.LogGroup,
	}
}
