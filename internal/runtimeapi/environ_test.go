package runtimeapi_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

func version(runtime string, env map[string]string) *function.Version {
	v := &function.Version{Function: "hello", Number: function.Latest}
	v.Settings = function.Settings{Runtime: runtime, Handler: "index.handler", Env: env}
	v.Fill()
	return v
}

var params = runtimeapi.Params{
	Environment: "0f1e-2d3c",
	Started:     time.Date(2026, 11, 22, 23, 30, 0, 0, time.FixedZone("", -3600)),
	Region:      "us-east-1",
}

func TestEnvironOfManagedRuntimeIsComplete(t *testing.T) {
	p := params
	p.Interpreter = language.Interpreter{Family: language.Node, Version: "22.1.0", Path: "/opt/n/22/bin/node", Prefix: "/opt/n/22"}
	p.Credentials = &runtimeapi.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret", SessionToken: "token"}
	p.Endpoint = "http://127.0.0.1:9000"
	got := runtimeapi.Environ(version("nodejs22.x", map[string]string{"TABLE": "t"}), p)
	want := map[string]string{
		"TABLE":                           "t",
		"PATH":                            "/opt/n/22/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LD_LIBRARY_PATH":                 "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
		"LANG":                            "en_US.UTF-8",
		"NODE_PATH":                       "/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task",
		"AWS_LAMBDA_LOG_FORMAT":           "Text",
		"AWS_XRAY_CONTEXT_MISSING":        "LOG_ERROR",
		"AWS_XRAY_DAEMON_ADDRESS":         "127.0.0.1:2000",
		"AWS_ENDPOINT_URL":                "http://127.0.0.1:9000",
		"AWS_ACCESS_KEY_ID":               "AKIA",
		"AWS_SECRET_ACCESS_KEY":           "secret",
		"AWS_SESSION_TOKEN":               "token",
		"_HANDLER":                        "index.handler",
		"AWS_EXECUTION_ENV":               "AWS_Lambda_nodejs22.x",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/hello",
		"AWS_LAMBDA_LOG_STREAM_NAME":      "2026/11/23/[$LATEST]0f1e2d3c",
		"LAMBDA_TASK_ROOT":                "/var/task",
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"AWS_LAMBDA_FUNCTION_NAME":        "hello",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_REGION":                      "us-east-1",
		"AWS_DEFAULT_REGION":              "us-east-1",
		"TZ":                              ":UTC",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestEnvironPrecedence(t *testing.T) {
	tests := []struct{ name, set, want string }{
		{"PATH", "/var/task/bin", "/var/task/bin"},
		{"LANG", "C", "C"},
		{"PYTHONPATH", "/var/task/vendor", "/var/task/vendor"},
		{"AWS_ENDPOINT_URL", "http://127.0.0.1:1", "http://127.0.0.1:1"},
		{"AWS_REGION", "mars-1", "us-east-1"},
		{"AWS_ACCESS_KEY_ID", "mine", "AKIA"},
		{"TZ", "Europe/Berlin", "Europe/Berlin"},
		{"_HANDLER", "other.handler", "index.handler"},
		{"_MINE", "dropped", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := params
			p.Endpoint = "http://127.0.0.1:9000"
			p.Credentials = &runtimeapi.Credentials{AccessKeyID: "AKIA"}
			p.Interpreter = language.Interpreter{Family: language.Python, Version: "3.13.0", Path: "/usr/bin/python3.13"}
			got := runtimeapi.Environ(version("python3.13", map[string]string{tt.name: tt.set}), p)
			if got[tt.name] != tt.want {
				t.Errorf("%s=%q, want %q", tt.name, got[tt.name], tt.want)
			}
		})
	}
}

func TestEnvironOfCustomRuntime(t *testing.T) {
	v := version("provided.al2023", nil)
	v.LogGroup = "/custom/group"
	got := runtimeapi.Environ(v, params)
	for name, want := range map[string]string{
		"AWS_LAMBDA_LOG_GROUP_NAME": "/custom/group",
		"PATH":                      "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"_HANDLER":                  "index.handler",
	} {
		if got[name] != want {
			t.Errorf("%s=%q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"AWS_EXECUTION_ENV", "NODE_PATH", "PYTHONPATH", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"} {
		if value, ok := got[name]; ok {
			t.Errorf("%s=%q is set", name, value)
		}
	}
}
