package function

import (
	"net/netip"
	"regexp"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

// The limits and defaults of settings. Sizes and the default timeout are AWS
// Lambda's; the longest timeout is ours.
const (
	MinMemoryMB        = 128
	MaxMemoryMB        = 10240
	DefaultMemoryMB    = 128
	MinTimeout         = time.Second
	MaxTimeout         = 24 * time.Hour
	DefaultTimeout     = 3 * time.Second
	MinEphemeralMB     = 512
	MaxEphemeralMB     = 10240
	DefaultEphemeralMB = 512
	// MaxEnvBytes bounds the sum of names and values of the environment.
	MaxEnvBytes = 4096
	// MaxNameLength bounds a function's name.
	MaxNameLength = 64
	// MaxTags bounds the tags of a function.
	MaxTags = 50
	// MaxEnvironmentConcurrency bounds the invocations that one environment runs at
	// once.
	MaxEnvironmentConcurrency = 1000
	// MaxEnvironments bounds the environments that a function may ask for.
	MaxEnvironments = 100_000
	// MaxQueueTimeout bounds an invocation's wait for an environment.
	MaxQueueTimeout = 15 * time.Minute
	// MaxEgressNetworks bounds the networks of an egress allow list.
	MaxEgressNetworks = 1024
)

var (
	namePattern    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	envNamePattern = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)
	handlerPattern = regexp.MustCompile(`^[^\s]{1,128}$`)
)

// reservedEnv lists the environment variables that belong to the platform: a
// function may not set them.
var reservedEnv = map[string]bool{
	"_HANDLER": true, "_X_AMZN_TRACE_ID": true, "AWS_DEFAULT_REGION": true, "AWS_REGION": true,
	"AWS_EXECUTION_ENV": true, "AWS_LAMBDA_FUNCTION_NAME": true, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": true,
	"AWS_LAMBDA_FUNCTION_VERSION": true, "AWS_LAMBDA_INITIALIZATION_TYPE": true,
	"AWS_LAMBDA_LOG_GROUP_NAME": true, "AWS_LAMBDA_LOG_STREAM_NAME": true, "AWS_ACCESS_KEY": true,
	"AWS_ACCESS_KEY_ID": true, "AWS_SECRET_ACCESS_KEY": true, "AWS_SESSION_TOKEN": true,
	"AWS_LAMBDA_RUNTIME_API": true, "LAMBDA_TASK_ROOT": true, "LAMBDA_RUNTIME_DIR": true,
	"AWS_LAMBDA_MAX_CONCURRENCY": true, "AWS_LAMBDA_METADATA_API": true, "AWS_LAMBDA_METADATA_TOKEN": true,
}

// ReservedEnv reports whether the environment variable name belongs to the
// platform and can't be set by a function.
func ReservedEnv(name string) bool { return reservedEnv[name] }

// Fill sets what was left empty to its default.
func (s *Settings) Fill() {
	if s.Architecture == "" {
		s.Architecture = "x86_64"
	}
	if s.MemoryMB == 0 {
		s.MemoryMB = DefaultMemoryMB
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	if s.EphemeralMB == 0 {
		s.EphemeralMB = DefaultEphemeralMB
	}
	if s.Egress.Mode == "" {
		s.Egress.Mode = EgressInternet
	}
	if s.TracingMode == "" {
		s.TracingMode = "PassThrough"
	}
	if s.LogFormat == "" {
		s.LogFormat = "Text"
	}
}

// CheckName reports whether name can be a function's name.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fault.New(fault.Invalid, "FunctionName",
			"the function name %q is not valid: use 1 to %d letters, digits, - and _", name, MaxNameLength)
	}
	return nil
}

// Check reports the first fault of filled settings. Whether the runtime exists
// on a node is the node's question, not this one's.
func (s *Settings) Check() error {
	switch {
	case s.Runtime == "":
		return fault.New(fault.Invalid, "Runtime", "a runtime is needed, for example nodejs22.x, python3.13 or provided.al2023")
	case s.Handler == "" && !s.Custom():
		return fault.New(fault.Invalid, "Handler", "a handler is needed, for example index.handler")
	case s.Handler != "" && !handlerPattern.MatchString(s.Handler):
		return fault.New(fault.Invalid, "Handler", "the handler %q is not valid: use up to 128 characters without blanks", s.Handler)
	case s.Architecture != "x86_64" && s.Architecture != "arm64":
		return fault.New(fault.Invalid, "Architecture", "the architecture %q is not known: use x86_64 or arm64", s.Architecture)
	case s.MemoryMB < MinMemoryMB || s.MemoryMB > MaxMemoryMB:
		return fault.New(fault.Invalid, "MemorySize", "memory of %d MB is out of range: use %d to %d", s.MemoryMB, MinMemoryMB, MaxMemoryMB)
	case s.Timeout < MinTimeout || s.Timeout > MaxTimeout:
		return fault.New(fault.Invalid, "Timeout", "a timeout of %s is out of range: use %s to %s", s.Timeout, MinTimeout, MaxTimeout)
	case s.EphemeralMB < MinEphemeralMB || s.EphemeralMB > MaxEphemeralMB:
		return fault.New(fault.Invalid, "EphemeralStorage", "a /tmp of %d MB is out of range: use %d to %d", s.EphemeralMB, MinEphemeralMB, MaxEphemeralMB)
	case len(s.Description) > 256:
		return fault.New(fault.Invalid, "Description", "the description is longer than 256 characters")
	case s.IdleTimeout < 0:
		return fault.New(fault.Invalid, "IdleTimeout", "an idle timeout can't be negative")
	case s.TracingMode != "PassThrough" && s.TracingMode != "Active":
		return fault.New(fault.Invalid, "TracingMode", "the tracing mode %q is not known: use PassThrough or Active", s.TracingMode)
	case s.LogFormat != "Text" && s.LogFormat != "JSON":
		return fault.New(fault.Invalid, "LogFormat", "the log format %q is not known: use Text or JSON", s.LogFormat)
	}
	if err := s.checkScaling(); err != nil {
		return err
	}
	if err := s.checkEnv(); err != nil {
		return err
	}
	return s.Egress.check()
}

func (s *Settings) checkScaling() error {
	switch {
	case s.Concurrency < 0 || s.Concurrency > MaxEnvironmentConcurrency:
		return fault.New(fault.Invalid, "Concurrency", "a concurrency of %d an environment is out of range: use 1 to %d", s.Concurrency, MaxEnvironmentConcurrency)
	case s.MinEnvironments < 0 || s.MinEnvironments > MaxEnvironments:
		return fault.New(fault.Invalid, "MinEnvironments", "a minimum of %d environments is out of range: use 0 to %d", s.MinEnvironments, MaxEnvironments)
	case s.MaxEnvironments < 0 || s.MaxEnvironments > MaxEnvironments:
		return fault.New(fault.Invalid, "MaxEnvironments", "a maximum of %d environments is out of range: use 1 to %d, or 0 for the node's", s.MaxEnvironments, MaxEnvironments)
	case s.MaxEnvironments > 0 && s.MinEnvironments > s.MaxEnvironments:
		return fault.New(fault.Invalid, "MinEnvironments", "a minimum of %d environments is more than the maximum of %d", s.MinEnvironments, s.MaxEnvironments)
	case s.QueueTimeout < 0 || s.QueueTimeout > MaxQueueTimeout:
		return fault.New(fault.Invalid, "QueueTimeout", "a queue timeout of %s is out of range: use up to %s", s.QueueTimeout, MaxQueueTimeout)
	}
	return nil
}

// Slots is how many invocations one environment of the version runs at once.
func (s *Settings) Slots() int { return max(1, s.Concurrency) }

// Custom reports whether the runtime is the function's own bootstrap.
func (s *Settings) Custom() bool { return strings.HasPrefix(s.Runtime, "provided.") }

func (s *Settings) checkEnv() error {
	size := 0
	for name, value := range s.Env {
		size += len(name) + len(value)
		switch {
		case !envNamePattern.MatchString(name):
			return fault.New(fault.Invalid, "Environment", "the environment variable name %q is not valid: use two characters or more, a letter first, then letters, digits and _", name)
		case ReservedEnv(name):
			return fault.New(fault.Invalid, "ReservedEnvironment", "the environment variable %s is reserved for the platform", name)
		case strings.ContainsRune(value, 0):
			return fault.New(fault.Invalid, "Environment", "the environment variable %s has a NUL byte in its value", name)
		}
	}
	if size > MaxEnvBytes {
		return fault.New(fault.Invalid, "EnvironmentSize", "the environment variables take %d bytes, more than %d", size, MaxEnvBytes)
	}
	return nil
}

func (e Egress) check() error {
	switch e.Mode {
	case EgressNone, EgressInternet:
		if len(e.Allow) > 0 {
			return fault.New(fault.Invalid, "Egress", "an allow list goes with the egress mode allow, not with %s", e.Mode)
		}
	case EgressAllow:
		if len(e.Allow) == 0 {
			return fault.New(fault.Invalid, "Egress", "the egress mode allow needs at least one network, for example 203.0.113.0/24")
		}
		_, err := e.Networks()
		return err
	default:
		return fault.New(fault.Invalid, "Egress", "the egress mode %q is not known: use none, internet or allow", e.Mode)
	}
	return nil
}

// Networks reads the allow list. All networks are IPv4: sandboxes have no IPv6,
// so a list that names any would promise what nothing reaches.
func (e Egress) Networks() ([]netip.Prefix, error) {
	if len(e.Allow) > MaxEgressNetworks {
		return nil, fault.New(fault.Invalid, "Egress", "the egress allow list has %d networks, more than %d: put neighbours together in larger ones",
			len(e.Allow), MaxEgressNetworks)
	}
	list := make([]netip.Prefix, len(e.Allow))
	for i, text := range e.Allow {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			return nil, fault.Wrap(err, fault.Invalid, "Egress",
				"the network %q in the egress allow list is not valid: use CIDR form, for example 203.0.113.0/24", text)
		case !p.Addr().Is4():
			return nil, fault.New(fault.Invalid, "Egress",
				"the network %q in the egress allow list is IPv6, which functions don't have: list IPv4 networks only", text)
		}
		list[i] = p.Masked()
	}
	return list, nil
}
