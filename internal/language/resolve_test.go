package language_test

import (
	"slices"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/language"
)

func node(version, path, prefix string) language.Interpreter {
	return language.Interpreter{Family: language.Node, Version: version, Path: path, Prefix: prefix}
}

func python(version, path, prefix string) language.Interpreter {
	return language.Interpreter{Family: language.Python, Version: version, Path: path, Prefix: prefix}
}

var machine = []language.Interpreter{
	node("20.20.2", "/usr/bin/node", ""),
	node("20.21.0", "/root/.nvm/versions/node/v20.21.0/bin/node", "/root/.nvm/versions/node/v20.21.0"),
	node("24.1.0", "/root/.nvm/versions/node/v24.1.0/bin/node", "/root/.nvm/versions/node/v24.1.0"),
	node("24.2.1", "/root/.nvm/versions/node/v24.2.1/bin/node", "/root/.nvm/versions/node/v24.2.1"),
	python("3.9.18", "/root/.pyenv/versions/3.9.18/bin/python3.9", "/root/.pyenv/versions/3.9.18"),
	python("3.11.2", "/usr/bin/python3.11", ""),
}

func TestResolve(t *testing.T) {
	tests := []struct {
		name, runtime, path, warning string
	}{
		{"exact, the system's before a higher patch", "nodejs20.x", "/usr/bin/node", ""},
		{"exact, the highest patch", "nodejs24.x", "/root/.nvm/versions/node/v24.2.1/bin/node", ""},
		{"exact python", "python3.9", "/root/.pyenv/versions/3.9.18/bin/python3.9", ""},
		{"nearest newer node", "nodejs22.x", "/root/.nvm/versions/node/v24.2.1/bin/node", "Node.js 24.2.1"},
		{"nearest newer of several", "nodejs18.x", "/usr/bin/node", "Node.js 20.20.2"},
		{"nearest newer python: 3.9 before 3.11", "python3.8", "/root/.pyenv/versions/3.9.18/bin/python3.9", "Python 3.9.18"},
		{"nearest newer python: 3.10 is not 3.1", "python3.10", "/usr/bin/python3.11", "Python 3.11.2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := language.Resolve(tt.runtime, machine)
			if err != nil {
				t.Fatal(err)
			}
			if got.Interpreter.Path != tt.path || got.Runtime != tt.runtime {
				t.Errorf("Resolve(%s) = %+v, want %s", tt.runtime, got, tt.path)
			}
			if (got.Warning == "") != (tt.warning == "") || !strings.Contains(got.Warning, tt.warning) {
				t.Errorf("warning %q, want one with %q", got.Warning, tt.warning)
			}
		})
	}
}

func TestResolveProvidedNeedsNoInterpreter(t *testing.T) {
	for _, runtime := range []string{"provided.al2", "provided.al2023"} {
		got, err := language.Resolve(runtime, nil)
		if err != nil || got.Family != language.Provided || got.Warning != "" {
			t.Errorf("Resolve(%s) = %+v, %v", runtime, got, err)
		}
	}
}

func TestResolveRefusals(t *testing.T) {
	tests := []struct {
		name, runtime string
		kind          fault.Kind
		reason        string
		detail        []string
	}{
		{"newer than all", "python3.13", fault.Unsupported, "RuntimeNotFound", []string{"found: python3.9, python3.11", "pyenv install 3.13"}},
		{"newer node", "nodejs26.x", fault.Unsupported, "RuntimeNotFound", []string{"nodejs20.x, nodejs24.x", "nvm install 26"}},
		{"not spoken yet", "java21", fault.Unsupported, "RuntimeNotServed", []string{"java21 is not supported yet"}},
		{"not spoken yet", "ruby3.3", fault.Unsupported, "RuntimeNotServed", nil},
		{"not spoken yet", "dotnet8", fault.Unsupported, "RuntimeNotServed", nil},
		{"deprecated", "python3.7", fault.Invalid, "DeprecatedRuntime", []string{"use python3.13"}},
		{"deprecated", "go1.x", fault.Invalid, "DeprecatedRuntime", []string{"provided.al2023"}},
		{"deprecated", "provided", fault.Invalid, "DeprecatedRuntime", nil},
		{"unknown", "cobol85", fault.Invalid, "UnknownRuntime", []string{"nodejs22.x", "python3.13", "provided.al2023"}},
		{"upper case", "NODEJS20.X", fault.Invalid, "UnknownRuntime", nil},
		{"empty", "", fault.Invalid, "UnknownRuntime", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.runtime, func(t *testing.T) {
			_, err := language.Resolve(tt.runtime, machine)
			if !fault.Is(err, tt.kind, tt.reason) {
				t.Fatalf("Resolve(%q): %v, want %v/%s", tt.runtime, err, tt.kind, tt.reason)
			}
			for _, want := range tt.detail {
				if got := fault.From(err).Detail; !strings.Contains(got, want) {
					t.Errorf("detail %q does not say %q", got, want)
				}
			}
		})
	}
}

func TestUnknownRuntimeNamesOnlyWhatIsServed(t *testing.T) {
	_, err := language.Resolve("nope", nil)
	if detail := fault.From(err).Detail; strings.Contains(detail, "java") || strings.Contains(detail, "python3.7") {
		t.Errorf("the detail recommends runtimes that can't run: %s", detail)
	}
}

func TestNothingInstalledNamesWhatToInstall(t *testing.T) {
	_, err := language.Resolve("nodejs22.x", nil)
	for _, want := range []string{"none was found", "nvm install 22", "apt-get install nodejs"} {
		if detail := fault.From(err).Detail; !strings.Contains(detail, want) {
			t.Errorf("detail %q does not say %q", detail, want)
		}
	}
}

func TestIdentifiers(t *testing.T) {
	ids := language.Identifiers()
	for _, id := range []string{"nodejs24.x", "python3.14", "java25", "provided.al2023"} {
		if !slices.Contains(ids, id) {
			t.Errorf("%s is missing", id)
		}
	}
	for _, id := range ids {
		if language.Deprecated(id) {
			t.Errorf("%s is both accepted and deprecated", id)
		}
	}
	ids[0] = "changed"
	if language.Identifiers()[0] == "changed" {
		t.Error("a caller can change the list")
	}
}
