// Package function holds the nouns of what is deployed: functions, versions,
// references, settings and the rules that make them valid. It does no I/O and
// its values are immutable once shared: a change is made on a [Function.Clone].
package function

import (
	"maps"
	"slices"
	"time"
)

// Latest is the qualifier of the unpublished version.
const Latest = "$LATEST"

// DefaultNamespace is the namespace that everything belongs to unless told
// otherwise; the AWS front shows it as [DefaultAccount].
const (
	DefaultNamespace = "default"
	DefaultAccount   = "000000000000"
)

// State says whether a function can be invoked.
type State string

// The states of a function, spelled as the AWS API spells them.
const (
	Pending State = "Pending" // created, its code is being prepared
	Active  State = "Active"  // can be invoked
	Failed  State = "Failed"  // its code could not be prepared
)

// Function is one deployed function: what belongs to all its versions, its
// unpublished version, and the update of that version which is under way.
type Function struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// State and StateReason tell whether Latest can be invoked and, if it
	// can't, why.
	State       State  `json:"state"`
	StateReason string `json:"stateReason,omitempty"`
	// Latest is the version that invocations of $LATEST run.
	Latest Version `json:"latest"`
	// Next is an accepted update that is still being prepared; invocations run
	// Latest until it takes its place. Nil: no update is in progress.
	Next *Version `json:"next,omitempty"`
	// UpdateFailure says why the last update could not be prepared; empty: it
	// succeeded.
	UpdateFailure string `json:"updateFailure,omitempty"`
	// URL is the function's public HTTP address; nil: it has none.
	URL *URL `json:"url,omitempty"`
	// ReservedConcurrency caps the concurrent invocations; nil: no cap of its
	// own; 0: every invocation is throttled.
	ReservedConcurrency *int              `json:"reservedConcurrency,omitempty"`
	Tags                map[string]string `json:"tags,omitempty"`
	Created             time.Time         `json:"created"`
}

// Version is a frozen copy of code and settings that environments are made of.
type Version struct {
	Namespace string `json:"namespace"`
	Function  string `json:"function"`
	// Number is [Latest] or a decimal version number.
	Number   string `json:"number"`
	Settings `json:"settings"`
	Code     Code `json:"code"`
	// Revision changes with each change of code or settings (RevisionId on the
	// AWS API). Environments of another revision are retired.
	Revision string    `json:"revision"`
	Modified time.Time `json:"modified"`
}

// Code is a content-addressed code package.
type Code struct {
	// SHA256 is the digest of the package in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// SizeBytes is the size of the package as it was uploaded.
	SizeBytes int64 `json:"sizeBytes"`
}

// Settings is what a user chooses about how a version runs.
type Settings struct {
	// Runtime is an AWS Lambda runtime identifier, such as nodejs22.x,
	// python3.13 or provided.al2023.
	Runtime     string `json:"runtime"`
	Handler     string `json:"handler,omitempty"`
	Description string `json:"description,omitempty"`
	// Role is the execution role's ARN, kept for the clients that set it.
	Role         string `json:"role,omitempty"`
	Architecture string `json:"architecture"` // x86_64 or arm64
	MemoryMB     int    `json:"memoryMB"`
	// Timeout bounds one invocation.
	Timeout time.Duration `json:"timeout"`
	// EphemeralMB is the size of /tmp.
	EphemeralMB int               `json:"ephemeralMB"`
	Env         map[string]string `json:"env,omitempty"`
	Egress      Egress            `json:"egress"`
	// IdleTimeout is how long an idle environment is kept; 0: the node's default.
	IdleTimeout time.Duration `json:"idleTimeout,omitempty"`
	// Concurrency is how many invocations one environment runs at once; 0 and 1:
	// one after the other.
	Concurrency int `json:"concurrency,omitempty"`
	// MinEnvironments are kept started, busy or not; MaxEnvironments bounds them,
	// 0: the node's bound.
	MinEnvironments int `json:"minEnvironments,omitempty"`
	MaxEnvironments int `json:"maxEnvironments,omitempty"`
	// QueueTimeout bounds an invocation's wait for an environment; 0: the node's
	// default.
	QueueTimeout time.Duration `json:"queueTimeout,omitempty"`
	TracingMode  string        `json:"tracingMode,omitempty"` // PassThrough or Active
	LogFormat    string        `json:"logFormat,omitempty"`   // Text or JSON
	LogGroup     string        `json:"logGroup,omitempty"`
}

// EgressMode says which outgoing traffic a function may send.
type EgressMode string

// The egress modes.
const (
	EgressNone     EgressMode = "none"
	EgressInternet EgressMode = "internet" // all but the host, private ranges and link-local addresses
	EgressAllow    EgressMode = "allow"    // the listed networks only
)

// Egress is a function's policy for outgoing traffic.
type Egress struct {
	Mode EgressMode `json:"mode"`
	// Allow lists CIDR networks, for EgressAllow alone.
	Allow []string `json:"allow,omitempty"`
}

// URL is a function URL: an HTTP address on the data plane.
type URL struct {
	// ID is the host label: 32 characters of a-z and 0-9.
	ID string `json:"id"`
	// AuthType is NONE or AWS_IAM.
	AuthType   string    `json:"authType"`
	InvokeMode string    `json:"invokeMode"` // BUFFERED or RESPONSE_STREAM
	CORS       *CORS     `json:"cors,omitempty"`
	Created    time.Time `json:"created"`
	Modified   time.Time `json:"modified"`
}

// CORS is the cross-origin policy that the data plane answers with.
type CORS struct {
	AllowCredentials bool     `json:"allowCredentials,omitempty"`
	AllowHeaders     []string `json:"allowHeaders,omitempty"`
	AllowMethods     []string `json:"allowMethods,omitempty"`
	AllowOrigins     []string `json:"allowOrigins,omitempty"`
	ExposeHeaders    []string `json:"exposeHeaders,omitempty"`
	MaxAgeSeconds    int      `json:"maxAgeSeconds,omitempty"`
}

// Clone returns a deep copy of f that may be changed.
func (f *Function) Clone() *Function {
	c := *f
	c.Latest = f.Latest.clone()
	if f.Next != nil {
		n := f.Next.clone()
		c.Next = &n
	}
	if f.URL != nil {
		u := *f.URL
		u.CORS = f.URL.CORS.clone()
		c.URL = &u
	}
	if f.ReservedConcurrency != nil {
		n := *f.ReservedConcurrency
		c.ReservedConcurrency = &n
	}
	c.Tags = maps.Clone(f.Tags)
	return &c
}

func (v *Version) clone() Version {
	c := *v
	c.Env = maps.Clone(v.Env)
	c.Egress.Allow = slices.Clone(v.Egress.Allow)
	return c
}

func (c *CORS) clone() *CORS {
	if c == nil {
		return nil
	}
	d := *c
	d.AllowHeaders = slices.Clone(c.AllowHeaders)
	d.AllowMethods = slices.Clone(c.AllowMethods)
	d.AllowOrigins = slices.Clone(c.AllowOrigins)
	d.ExposeHeaders = slices.Clone(c.ExposeHeaders)
	return &d
}

// Ref returns the reference that names this version.
func (v *Version) Ref() Ref {
	return Ref{Namespace: v.Namespace, Name: v.Function, Qualifier: v.Number}
}

// Newest returns what the user configured last: the update under way if there
// is one, else Latest.
func (f *Function) Newest() *Version {
	if f.Next != nil {
		return f.Next
	}
	return &f.Latest
}
