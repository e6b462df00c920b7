package compat_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// debianCLI is where Debian's package puts the AWS CLI; another one may come
// first in PATH.
const debianCLI = "/usr/bin/aws"

// commandLines returns the AWS CLIs of this machine.
func commandLines(t *testing.T) []string {
	t.Helper()
	var found []string
	if path, err := exec.LookPath("aws"); err == nil {
		found = append(found, path)
	}
	if _, err := os.Stat(debianCLI); err == nil && !slices.Contains(found, debianCLI) {
		found = append(found, debianCLI)
	}
	if len(found) == 0 {
		t.Fatal("there is no AWS CLI: run `apt-get install awscli`")
	}
	return found
}

// aws runs one command of an AWS CLI. The endpoint is given as a flag, since
// older ones know no variable for it.
func aws(t *testing.T, path string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--endpoint-url", node.Endpoint, "--output", "json"}, args...)...)
	cmd.Env = node.Env()
	cmd.Dir = t.TempDir()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// must runs a command that has to succeed and reads what it prints.
func must(t *testing.T, path string, args ...string) map[string]any {
	t.Helper()
	out, errs, err := aws(t, path, args...)
	if err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, errs)
	}
	var v map[string]any
	if strings.TrimSpace(out) == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("aws %s printed %q: %v", strings.Join(args, " "), out, err)
	}
	return v
}

func TestCommandLine(t *testing.T) {
	t.Parallel() // each of its commands starts a Python
	for _, path := range commandLines(t) {
		t.Run(strings.ReplaceAll(strings.Trim(path, "/"), "/", "_"), func(t *testing.T) {
			t.Parallel()
			commandLine(t, path)
		})
	}
}

func commandLine(t *testing.T, path string) {
	t.Helper()
	function := "cli-" + strings.NewReplacer("/", "-", ".", "").Replace(filepath.Dir(path)[1:])
	package_, reply := filepath.Join(t.TempDir(), "f.zip"), filepath.Join(t.TempDir(), "reply.json")
	if err := os.WriteFile(package_, zipped(t, "index.js", source), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := must(t, path, "sts", "get-caller-identity"); got["Account"] != account {
		t.Errorf("identity %v", got)
	}
	must(t, path, "iam", "create-role", "--role-name", function, "--assume-role-policy-document", `{"Version":"2012-10-17","Statement":[]}`)
	got := must(t, path, "iam", "get-role", "--role-name", function)
	made, _ := got["Role"].(map[string]any)
	arn, _ := made["Arn"].(string)
	if list, _ := must(t, path, "iam", "list-roles")["Roles"].([]any); len(list) == 0 {
		t.Error("no roles are listed")
	}
	must(t, path, "lambda", "create-function", "--function-name", function, "--runtime", "nodejs18.x", "--handler", "index.handler",
		"--role", arn, "--zip-file", "fileb://"+package_, "--timeout", "10", "--environment", "Variables={VARIABLE=cli}")
	must(t, path, "lambda", "wait", "function-active-v2", "--function-name", function)
	must(t, path, "lambda", "update-function-configuration", "--function-name", function, "--memory-size", "256")
	must(t, path, "lambda", "wait", "function-updated-v2", "--function-name", function)
	must(t, path, "lambda", "update-function-code", "--function-name", function, "--zip-file", "fileb://"+package_)
	must(t, path, "lambda", "wait", "function-updated-v2", "--function-name", function)

	// The payload goes by file: what stands on the line means base64 to one
	// major version of the CLI and text to the other.
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	invoked := must(t, path, "lambda", "invoke", "--function-name", function, "--payload", "fileb://"+event, "--log-type", "Tail", reply)
	body, err := os.ReadFile(reply)
	if err != nil {
		t.Fatal(err)
	}
	if invoked["StatusCode"] != 200.0 || invoked["ExecutedVersion"] != "$LATEST" || invoked["LogResult"] == "" || !strings.Contains(string(body), `"variable":"cli"`) {
		t.Errorf("invoke printed %v and wrote %s", invoked, body)
	}
	url := must(t, path, "lambda", "create-function-url-config", "--function-name", function, "--auth-type", "NONE")
	if address, _ := url["FunctionUrl"].(string); !strings.Contains(address, ".lambda-url.") {
		t.Errorf("URL %v", url)
	}
	must(t, path, "lambda", "put-function-concurrency", "--function-name", function, "--reserved-concurrent-executions", "2")
	must(t, path, "lambda", "get-account-settings")
	if list, _ := must(t, path, "lambda", "list-functions")["Functions"].([]any); len(list) == 0 {
		t.Error("no functions are listed")
	}
	_, errs, err := aws(t, path, "lambda", "list-layers")
	if err == nil || !strings.Contains(errs, "(NotImplementedException)") || !strings.Contains(errs, "ListLayers is not supported by mayfly yet.") {
		t.Errorf("list-layers: %v, %s", err, errs)
	}
	must(t, path, "lambda", "delete-function", "--function-name", function)
	_, errs, err = aws(t, path, "lambda", "get-function", "--function-name", function)
	if err == nil || !strings.Contains(errs, "(ResourceNotFoundException)") || !strings.Contains(errs, "Function not found: ") {
		t.Errorf("get-function after deletion: %v, %s", err, errs)
	}
	must(t, path, "iam", "delete-role", "--role-name", function)
}
