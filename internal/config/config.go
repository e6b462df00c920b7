// Package config reads the whole configuration of a node: defaults, a file,
// environment variables and flags, of which the later wins. It knows every key,
// its bounds and where its value came from; what the keys do is the business of
// the parts that server hands them to.
//
// The keys are the fields of [Config]: a small walker over the struct reads all
// four sources, so that one tag adds a key everywhere. A configuration library
// would merge maps for us, but it would neither keep the line that a value came
// from nor report all faults together, which is most of what this package does.
//
// Everything here runs once at start and is not safe for concurrent use; a
// [Config] is a plain value.
package config

import "time"

//go:generate go run ./gen

// Config is the configuration of a node. The comment of each field is its
// documentation: docs/configuration.md and the help of the flags are generated
// from here. The tags are: key, its name in the file; default; min and max, or
// enum, its bounds; secret, a value that is never shown.
type Config struct {
	// DataDir is the directory that holds everything which outlives the process: functions, code packages, records, logs and the keys of the node.
	// One node uses one directory; it needs a local file system.
	DataDir string `key:"data_dir" default:"/var/lib/mayfly as root, else $XDG_STATE_HOME/mayfly or ~/.local/state/mayfly"`
	// Control is the address of the control plane: the native API, the cloud APIs, health and metrics.
	// Requests must carry a key, but they travel unencrypted: on an address beyond loopback put TLS in front of it. Port 0 takes a free one.
	Control string `key:"control" default:"127.0.0.1:9000"`
	// Gateway is the address of the data plane, where function URLs are served.
	// Functions whose URL has the auth type NONE are public to everyone who reaches it, so it must name its host: 0.0.0.0:8080 serves every interface. Port 0 takes a free one.
	Gateway string `key:"gateway" default:"127.0.0.1:8080"`
	// MaxConnections is how many connections the gateway holds open, idle ones included. A further one is answered 503 and closed.
	MaxConnections int `key:"max_connections" default:"10000" min:"1" max:"1000000"`
	// Region is the AWS region that the node says it is in: it is part of ARNs, of function URLs and of the signatures of AWS clients.
	Region string `key:"region" default:"us-east-1"`
	// LogLevel is the least severe level that the node logs. What functions print is not part of it: see "mayfly logs".
	LogLevel string `key:"log_level" default:"info" enum:"debug,info,warn,error"`
	// LogFormat is the form of the node's own log on standard error.
	LogFormat string `key:"log_format" default:"text" enum:"text,json"`
	// DrainTimeout is how long a stopping node lets invocations finish before it ends them.
	DrainTimeout time.Duration `key:"drain_timeout" default:"30s" min:"0s" max:"24h"`
	// InitTimeout is how long the init phase of an execution environment may take before the invocation that waits for it fails. A function whose own timeout is longer has that long.
	InitTimeout time.Duration `key:"init_timeout" default:"10s" min:"100ms" max:"15m"`
	// IdleTimeout is how long an execution environment that serves nothing is kept. A function may set its own.
	// With keep_warm at histogram it holds for functions whose calls show no pattern yet.
	IdleTimeout time.Duration `key:"idle_timeout" default:"5m" min:"1s" max:"24h"`
	// KeepWarm is how the node decides how long environments of functions without an idle timeout of their own are kept.
	// With histogram it follows the times that have passed between the calls of each function, and starts an environment again shortly before the next call is likely; with fixed it is idle_timeout for all.
	KeepWarm string `key:"keep_warm" default:"histogram" enum:"histogram,fixed"`
	// FreezeAfter is how long an environment is idle before its processes are stopped, so that it takes no CPU time until its next call; 0 never stops them.
	FreezeAfter time.Duration `key:"freeze_after" default:"1s" min:"0s" max:"24h"`
	// Stems is whether the node keeps runtimes started in sandboxes that belong to no function yet, for faster cold starts. Their number follows demand.
	Stems string `key:"stems" default:"auto" enum:"auto,off"`
	// StemMemory is how much memory those may take together: a size, or a share of the machine's memory. It is part of memory, and functions that need it get it first.
	StemMemory Memory `key:"stem_memory" default:"10%" min:"32MiB"`
	// MaxConcurrency is how many invocations the node runs at the same time. Further ones are throttled.
	MaxConcurrency int `key:"max_concurrency" default:"1000" min:"1" max:"100000"`
	// MaxQueue is how many invocations of one function may wait for an environment. Further ones are throttled.
	MaxQueue int `key:"max_queue" default:"1000" min:"1" max:"1000000"`
	// QueueTimeout is how long an invocation may wait for an environment before it is throttled. A function may set its own.
	QueueTimeout time.Duration `key:"queue_timeout" default:"30s" min:"100ms" max:"15m"`
	// MaxEnvironments is how many execution environments one function may have at the same time; 0 means no bound but those of the node.
	MaxEnvironments int `key:"max_environments" default:"0" min:"0" max:"100000"`
	// Memory is how much memory all execution environments may take together: a size, or a share of the machine's memory (of the control group's, if that has less).
	// An environment counts with the whole memory size of its function.
	Memory Memory `key:"memory" default:"80%" min:"128MiB"`
	// Sandbox is the driver that isolates execution environments. With auto it is linux on Linux and none elsewhere; none isolates nothing and is for development alone.
	Sandbox string `key:"sandbox" default:"auto" enum:"auto,linux,none"`
	// UIDBase is the first of the 60,000 user ids that sandboxes run under, one each. Nobody else on the machine may have them.
	UIDBase int `key:"uid_base" default:"700000" min:"65536" max:"2147418112"`
	// Subnet is the IPv4 network, /8 to /22, that the links between sandboxes and the machine take their addresses from, such as 10.213.0.0/16.
	// It must not overlap a network that the machine has a route to. With auto the node takes the first free one of a few rarely used networks.
	Subnet Subnet `key:"subnet" default:"auto"`
	// LogRetention is how long the lines that functions print and the records of invocations are kept.
	LogRetention time.Duration `key:"log_retention" default:"7d" min:"1h" max:"3650d"`
	// LogMaxSize bounds the disk space of those lines and records: beyond it the oldest go first.
	LogMaxSize Size `key:"log_max_size" default:"1GiB" min:"16MiB" max:"1TiB"`
}
