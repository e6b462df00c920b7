package runtimeapi

import (
	"cmp"
	"maps"
	"path"
	"strconv"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
)

// Params is what the environment variables of an execution environment depend
// on beside its version.
type Params struct {
	// Environment is the execution environment's id, Started when it started;
	// they name its log stream.
	Environment string
	Started     time.Time
	Region      string
	Interpreter language.Interpreter // zero for custom runtimes
	// InitializationType is "on-demand" if empty.
	InitializationType string
	// Credentials are the function's own; nil: it has none.
	Credentials *Credentials
	// Endpoint is the URL under which the function reaches the platform's API,
	// AWS_ENDPOINT_URL; empty: it can't.
	Endpoint string
}

// Credentials are the keys that AWS SDKs in a function sign with.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
}

// Environ returns the environment variables that AWS Lambda gives a version, by
// name. What a user sets may replace the search paths, the language, the time
// zone and the X-Ray settings and nothing else; later groups win: credentials, the runtime's
// own, the platform's. An adapter adds what it alone knows, such as
// AWS_LAMBDA_RUNTIME_API.
func Environ(v *function.Version, p Params) map[string]string {
	env := unreserved(v, p)
	for name, value := range v.Env {
		if !strings.HasPrefix(name, "_") {
			env[name] = value
		}
	}
	if c := p.Credentials; c != nil {
		env["AWS_ACCESS_KEY_ID"] = c.AccessKeyID
		env["AWS_SECRET_ACCESS_KEY"] = c.SecretAccessKey
		env["AWS_SESSION_TOKEN"] = c.SessionToken
	}
	maps.Copy(env, reserved(v, p))
	return env
}

// Fixed returns the variables that all versions of an interpreter begin with:
// what a runtime can be started with before it is known which version it will
// serve.
func Fixed(in language.Interpreter) map[string]string {
	env := map[string]string{
		"PATH":            "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
		"LANG":            "en_US.UTF-8",
		"TZ":              ":UTC",
	}
	if in.Prefix != "" {
		env["PATH"] = path.Dir(in.Path) + ":" + env["PATH"]
	}
	return env
}

// unreserved returns the variables that a user may replace.
func unreserved(v *function.Version, p Params) map[string]string {
	env := Fixed(p.Interpreter)
	env["AWS_LAMBDA_LOG_FORMAT"] = v.LogFormat
	env["AWS_XRAY_CONTEXT_MISSING"] = "LOG_ERROR"
	// Nobody listens there: an X-Ray SDK's datagrams stay in the sandbox.
	env["AWS_XRAY_DAEMON_ADDRESS"] = "127.0.0.1:2000"
	if p.Endpoint != "" {
		env["AWS_ENDPOINT_URL"] = p.Endpoint
	}
	switch p.Interpreter.Family {
	case language.Node:
		major, _, _ := strings.Cut(p.Interpreter.Version, ".")
		env["NODE_PATH"] = "/opt/nodejs/node" + major + "/node_modules:/opt/nodejs/node_modules:" +
			"/var/runtime/node_modules:/var/runtime:/var/task"
	case language.Python:
		env["PYTHONPATH"] = "/var/runtime"
	case language.Provided:
	}
	return env
}

// reserved returns the runtime's and the platform's variables, which nobody may
// replace.
func reserved(v *function.Version, p Params) map[string]string {
	env := map[string]string{
		"LAMBDA_TASK_ROOT":                "/var/task",
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"AWS_LAMBDA_LOG_GROUP_NAME":       LogGroup(v),
		"AWS_LAMBDA_LOG_STREAM_NAME":      LogStream(v, p.Environment, p.Started),
		"AWS_LAMBDA_FUNCTION_NAME":        v.Function,
		"AWS_LAMBDA_FUNCTION_VERSION":     v.Number,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(v.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  cmp.Or(p.InitializationType, "on-demand"),
		"AWS_REGION":                      p.Region,
		"AWS_DEFAULT_REGION":              p.Region,
	}
	if v.Handler != "" {
		env["_HANDLER"] = v.Handler
	}
	if !v.Custom() {
		env["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + v.Runtime
	}
	return env
}

// LogGroup returns the name of the log group of a version's output.
func LogGroup(v *function.Version) string {
	return cmp.Or(v.LogGroup, "/aws/lambda/"+v.Function)
}

// LogStream returns the name of the log stream of an execution environment.
func LogStream(v *function.Version, environment string, started time.Time) string {
	return started.UTC().Format("2006/01/02") + "/[" + v.Number + "]" + strings.ReplaceAll(environment, "-", "")
}
