// Package wire holds the JSON shapes of the native API, which its server and its
// client share. They are plain values without behaviour: the meaning of settings
// and their bounds are package function's.
//
// Durations are numbers with their unit in the name, sizes are bytes or MB
// (1,048,576 bytes) by name, times are RFC 3339 in UTC. A cursor (Next) is opaque.
package wire

import "time"

// Function is a deployed function.
type Function struct {
	Namespace string `json:"namespace" example:"default"`
	Name      string `json:"name" example:"hello"`
	ARN       string `json:"arn" doc:"The function's Amazon Resource Name, for AWS clients"`
	State     string `json:"state" enum:"Pending,Active,Failed" doc:"Whether it can be invoked: Pending while its first code is prepared, Failed if that could not be done"`
	// StateReason is empty unless State is Pending or Failed.
	StateReason string `json:"stateReason,omitempty"`
	// Updating says that Settings and Code are accepted but not yet in force.
	Updating      bool     `json:"updating" doc:"Settings and code were accepted but are still being prepared; invocations run what was there before"`
	UpdateFailure string   `json:"updateFailure,omitempty" doc:"Why the last update could not be prepared"`
	Settings      Settings `json:"settings"`
	Code          Code     `json:"code"`
	Revision      string   `json:"revision" doc:"Changes with each change of settings or code; send it in If-Match to change only what you have read"`
	URL           *URL     `json:"url,omitempty" doc:"Its public HTTP address, if it has one"`
	// ReservedConcurrency is nil when there is no cap of its own.
	ReservedConcurrency *int              `json:"reservedConcurrency,omitempty" doc:"Cap of its concurrent invocations; absent: none of its own; 0: every invocation is throttled"`
	Tags                map[string]string `json:"tags,omitempty"`
	Created             time.Time         `json:"created"`
	Modified            time.Time         `json:"modified" doc:"When settings or code changed last"`
	// Warnings are sentences about what works differently from what was asked.
	Warnings []string `json:"warnings,omitempty" nullable:"false" doc:"What works differently from what was asked for, for example an interpreter of another version"`
}

// Settings is what a user chooses about how a function runs. Zero values mean
// the default.
type Settings struct {
	Runtime            string            `json:"runtime" example:"nodejs22.x" doc:"A Lambda runtime identifier; GET /v1/runtimes lists those that this node serves"`
	Handler            string            `json:"handler,omitempty" example:"index.handler" doc:"Needed unless the runtime is provided.*"`
	Description        string            `json:"description,omitempty" doc:"Up to 256 characters"`
	Role               string            `json:"role,omitempty" doc:"An execution role's ARN, kept for the clients that set one"`
	Architecture       string            `json:"architecture,omitempty" enum:"x86_64,arm64" doc:"Default x86_64"`
	MemoryMB           int               `json:"memoryMB,omitempty" doc:"128 to 10240, default 128"`
	TimeoutSeconds     float64           `json:"timeoutSeconds,omitempty" doc:"Bound of one invocation: 1 to 86400, default 3"`
	EphemeralMB        int               `json:"ephemeralMB,omitempty" doc:"Size of /tmp: 512 to 10240, default 512"`
	Env                map[string]string `json:"env,omitempty" doc:"Environment variables, 4096 bytes together"`
	Egress             *Egress           `json:"egress,omitempty" doc:"Which outgoing traffic is allowed, default internet"`
	IdleTimeoutSeconds float64           `json:"idleTimeoutSeconds,omitempty" doc:"How long an idle environment is kept; 0: as the node decides"`
	Concurrency        int               `json:"concurrency,omitempty" doc:"Invocations that one environment runs at once: 1 to 1000, default 1"`
	MinEnvironments    int               `json:"minEnvironments,omitempty" doc:"Environments that are kept started, busy or not: 0 to 100000, default 0"`
	MaxEnvironments    int               `json:"maxEnvironments,omitempty" doc:"Bound of the environments: up to 100000; 0: the node's"`
	// QueueTimeoutSeconds is 0 for the node's default.
	QueueTimeoutSeconds float64 `json:"queueTimeoutSeconds,omitempty" doc:"How long an invocation may wait for an environment before it is throttled: up to 900; 0: the node's default"`
	TracingMode         string  `json:"tracingMode,omitempty" enum:"PassThrough,Active" doc:"Default PassThrough"`
	LogFormat           string  `json:"logFormat,omitempty" enum:"Text,JSON" doc:"Default Text"`
	LogGroup            string  `json:"logGroup,omitempty"`
}

// Egress is a policy for outgoing traffic.
type Egress struct {
	Mode  string   `json:"mode" enum:"none,internet,allow" doc:"none: nothing; internet: all but the host, private and link-local networks; allow: the listed networks alone"`
	Allow []string `json:"allow,omitempty" nullable:"false" example:"[\"203.0.113.0/24\"]" doc:"IPv4 networks in CIDR form, up to 1024, for the mode allow"`
}

// Code names a code package by its content.
type Code struct {
	SHA256    string `json:"sha256" pattern:"^[0-9a-f]{64}$" doc:"Digest of the zip file"`
	SizeBytes int64  `json:"sizeBytes,omitempty" doc:"Size of the zip file; ignored when it is sent"`
}

// FunctionSpec is what a function should be: the body of a PUT.
type FunctionSpec struct {
	Settings Settings `json:"settings" doc:"All settings: what is left out gets its default"`
	// Code may be nil when the function exists: its code stays.
	Code *Code `json:"code,omitempty" doc:"What POST /v1/code answered; needed for a new function, else left out to keep the present code"`
	// Tags nil means that the tags stay.
	Tags map[string]string `json:"tags,omitempty" doc:"All tags; left out to keep the present ones"`
}

// FunctionPage is one page of functions, sorted by name.
type FunctionPage struct {
	Functions []Function `json:"functions" nullable:"false"`
	Next      string     `json:"next,omitempty" doc:"Pass it as after to get the next page; absent on the last one"`
}

// URL is a function's public HTTP address.
type URL struct {
	ID string `json:"id"`
	// Address is where the function answers, such as http://<id>.localhost:8080/.
	Address    string    `json:"address" doc:"Where the function answers" example:"http://abcdefghijklmnopqrstuvwxyz012345.localhost:8080/"`
	AuthType   string    `json:"authType"`
	InvokeMode string    `json:"invokeMode"`
	CORS       *CORS     `json:"cors,omitempty"`
	Created    time.Time `json:"created"`
	Modified   time.Time `json:"modified"`
}

// URLSpec is what a function URL should be: the body of a PUT.
type URLSpec struct {
	AuthType   string `json:"authType,omitempty" enum:"NONE,AWS_IAM" doc:"NONE: everyone who reaches the data plane may call it; AWS_IAM: calls must be signed. Default NONE"`
	InvokeMode string `json:"invokeMode,omitempty" enum:"BUFFERED" doc:"Default BUFFERED"`
	CORS       *CORS  `json:"cors,omitempty" doc:"The cross-origin policy that the data plane answers with; absent: none"`
}

// CORS is a cross-origin policy.
type CORS struct {
	AllowCredentials bool     `json:"allowCredentials,omitempty"`
	AllowHeaders     []string `json:"allowHeaders,omitempty" nullable:"false"`
	AllowMethods     []string `json:"allowMethods,omitempty" nullable:"false"`
	AllowOrigins     []string `json:"allowOrigins,omitempty" nullable:"false"`
	ExposeHeaders    []string `json:"exposeHeaders,omitempty" nullable:"false"`
	MaxAgeSeconds    int      `json:"maxAgeSeconds,omitempty" minimum:"0" maximum:"86400"`
}

// Concurrency is the body of a PUT of a function's reserved concurrency.
type Concurrency struct {
	Reserved int `json:"reserved" minimum:"0" maximum:"1000000" doc:"Cap of the concurrent invocations; 0 throttles every one"`
}
