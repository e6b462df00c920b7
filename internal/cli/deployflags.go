package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mayfly.dev/mayfly/internal/function"
)

// deployFlags is what the command line says about one function.
type deployFlags struct {
	name, runtime, handler, description, architecture string
	memory, tmp                                       int
	timeout, idle, queueTimeout                       time.Duration
	concurrency                                       string
	perEnvironment, minEnvironments, maxEnvironments  int
	env, egress                                       []string
	url, noURL                                        bool
	// These are for apps.
	only                 []string
	planOnly, prune, yes bool
	given                *pflag.FlagSet
}

// The flags that go with one sort of deployment alone.
var (
	singleFlags = []string{
		"name", "runtime", "handler", "description", "architecture", "memory", "tmp", "timeout", "env", "egress", "url", "no-url",
		"idle", "concurrency", "environment-concurrency", "min-environments", "max-environments", "queue-timeout",
	}
	appFlags = []string{"only", "prune"}
)

func (f *deployFlags) refuse(names []string, why string) error {
	for _, name := range names {
		if f.given.Changed(name) {
			return usage("--%s %s", name, why)
		}
	}
	return nil
}

// target makes the target of a single function from the flags.
func (f *deployFlags) target(path string) (*target, error) {
	t := &target{name: f.name, path: path, architecture: f.architecture}
	if t.name == "" {
		var err error
		if t.name, err = nameOf(path); err != nil {
			return nil, err
		}
	}
	if err := function.CheckName(t.name); err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	t.settings.Runtime, t.settings.Handler = f.runtime, f.handler
	env, err := f.environment()
	if err != nil {
		return nil, err
	}
	if t.reserved, err = reservedOf(f.concurrency); err != nil {
		return nil, err
	}
	t.setsReserved = f.given.Changed("concurrency")
	t.change = func(s *function.Settings) {
		set(f.given, "description", &s.Description, f.description)
		set(f.given, "memory", &s.MemoryMB, f.memory)
		set(f.given, "tmp", &s.EphemeralMB, f.tmp)
		set(f.given, "timeout", &s.Timeout, f.timeout)
		set(f.given, "egress", &s.Egress, egressOf(f.egress))
		set(f.given, "idle", &s.IdleTimeout, f.idle)
		set(f.given, "environment-concurrency", &s.Concurrency, f.perEnvironment)
		set(f.given, "min-environments", &s.MinEnvironments, f.minEnvironments)
		set(f.given, "max-environments", &s.MaxEnvironments, f.maxEnvironments)
		set(f.given, "queue-timeout", &s.QueueTimeout, f.queueTimeout)
		env(s)
	}
	if f.given.Changed("url") || f.given.Changed("no-url") {
		want := f.url && !f.noURL
		t.url = &want
	}
	return t, nil
}

// check refuses what the node would take for something else: a zero stands for
// the default there, and the words of --egress become a mode.
func (f *deployFlags) check() error {
	switch {
	case f.given.Changed("memory") && f.memory == 0:
		return usage("--memory 0: use %d to %d", function.MinMemoryMB, function.MaxMemoryMB)
	case f.given.Changed("tmp") && f.tmp == 0:
		return usage("--tmp 0: use %d to %d", function.MinEphemeralMB, function.MaxEphemeralMB)
	case f.given.Changed("timeout") && f.timeout == 0:
		return usage("--timeout %s: use %s to %s", f.timeout, function.MinTimeout, function.MaxTimeout)
	case f.given.Changed("environment-concurrency") && f.perEnvironment == 0:
		return usage("--environment-concurrency 0: use 1 to %d", function.MaxEnvironmentConcurrency)
	}
	for _, word := range f.egress {
		mode := function.EgressMode(word)
		alone := len(f.egress) == 1 && (mode == function.EgressNone || mode == function.EgressInternet)
		if !alone && !strings.Contains(word, "/") {
			return usage("--egress %s: write none, internet, or networks in CIDR form, such as 203.0.113.0/24", word)
		}
	}
	return nil
}

// reservedOf reads the value of --concurrency; nil: no cap.
func reservedOf(text string) (*int, error) {
	if text == "" || text == "none" {
		return nil, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return nil, usage("--concurrency %s: write a number, or none", text)
	}
	return &n, nil
}

func set[T any](given *pflag.FlagSet, flag string, field *T, value T) {
	if given.Changed(flag) {
		*field = value
	}
}

// environment returns the change that the --env flags ask for.
func (f *deployFlags) environment() (func(*function.Settings), error) {
	for _, pair := range f.env {
		if name, _, ok := strings.Cut(pair, "="); !ok || name == "" {
			return nil, usage("--env %s: write NAME=VALUE", pair)
		}
	}
	return func(s *function.Settings) {
		for _, pair := range f.env {
			name, value, _ := strings.Cut(pair, "=")
			if s.Env == nil {
				s.Env = map[string]string{}
			}
			if s.Env[name] = value; value == "" {
				delete(s.Env, name)
			}
		}
	}, nil
}

func egressOf(words []string) function.Egress {
	if len(words) == 1 && !strings.Contains(words[0], "/") {
		return function.Egress{Mode: function.EgressMode(words[0])}
	}
	return function.Egress{Mode: function.EgressAllow, Allow: words}
}
