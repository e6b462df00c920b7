package manifest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/cli/manifest"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

func env(name string) (string, bool) {
	value, ok := map[string]string{"TOKEN": "s3cret", "EMPTY": ""}[name]
	return value, ok
}

const shop = `
name: shop
defaults:
  memory: 256
  url: false
  min_environments: 1
  max_environments: 5
  env: {STAGE: dev, LEVEL: info}
functions:
  cart:
    path: ./cart
    timeout: 1m30s
    url: true
    env: {TOKEN: "${TOKEN}", STAGE: "${EMPTY:-test}", PRICE: "$$5"}
    egress: [203.0.113.0/24]
  mail:
    path: mail.py
    runtime: python3.13
    handler: mail.send
    concurrency: 0
    environment_concurrency: 20
    min_environments: 0
    queue_timeout: 30s
    egress: none
    tmp: 1024
    idle: 10m
`

func TestManifestIsReadWithItsDefaults(t *testing.T) {
	app, err := manifest.Parse([]byte(shop), env)
	if err != nil {
		t.Fatal(err)
	}
	cart, mail := app.Functions["cart"], app.Functions["mail"]
	want := function.Settings{
		MemoryMB: 256, Timeout: 90 * time.Second, Architecture: "x86_64", EphemeralMB: 512, TracingMode: "PassThrough", LogFormat: "Text",
		Env:             map[string]string{"STAGE": "test", "LEVEL": "info", "TOKEN": "s3cret", "PRICE": "$5"},
		Egress:          function.Egress{Mode: function.EgressAllow, Allow: []string{"203.0.113.0/24"}},
		MinEnvironments: 1, MaxEnvironments: 5,
	}
	if diff := cmp.Diff(want, cart.Settings()); diff != "" {
		t.Errorf("cart's settings (-want +got):\n%s", diff)
	}
	if !cart.HasURL() || mail.HasURL() {
		t.Errorf("URLs: cart %t, mail %t; want true, false", cart.HasURL(), mail.HasURL())
	}
	if mail.Concurrency == nil || *mail.Concurrency != 0 || mail.Settings().IdleTimeout != 10*time.Minute {
		t.Errorf("mail = %+v, want concurrency 0 and idle 10m", mail)
	}
	s := mail.Settings()
	if s.Concurrency != 20 || s.MinEnvironments != 0 || s.MaxEnvironments != 5 || s.QueueTimeout != 30*time.Second {
		t.Errorf("mail scales by %+v, want 20 calls an environment, 0 to 5 of them and a queue timeout of 30s", s)
	}
	if diff := cmp.Diff([]string{"cart", "mail"}, app.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsSayWhereAndWhat(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "empty"},
		{"no YAML", "a: [", "line 1"},
		{"unknown key", "name: a\nfunctions:\n  f:\n    path: .\n    memroy: 1\n", "line 5: unknown key memroy"},
		{"double key", "name: a\nname: b\n", "line 2"},
		{"wrong type", "name: a\nfunctions: {f: {path: ., memory: much}}", `line 2: "much" is no size`},
		{"words as a number", "name: a\nfunctions: {f: {path: ., concurrency: much}}", "found str `much` where a whole number is due"},
		{"two documents", "name: a\nfunctions: {f: {path: .}}\n---\nname: b\n", "more than one"},
		{"no name", "functions: {f: {path: .}}", "name:"},
		{"bad name", "name: a b\nfunctions: {f: {path: .}}", "name:"},
		{"no functions", "name: a", "at least one"},
		{"null function", "name: a\nfunctions: {f: }", "functions.f: a path is needed"},
		{"no path", "name: a\nfunctions: {f: {memory: 128}}", "path"},
		{"bad function name", "name: a\nfunctions: {f.g: {path: .}}", "f.g"},
		{"little memory", "name: a\nfunctions: {f: {path: ., memory: 1}}", "out of range"},
		{"memory of zero", "name: a\nfunctions: {f: {path: ., memory: 0}}", `line 2: "0" is no size`},
		{"size of /tmp in words", "name: a\nfunctions: {f: {path: ., tmp: 1GB}}", `line 2: "1GB" is no size`},
		{"number as time", "name: a\nfunctions: {f: {path: ., timeout: 10}}", `line 2: "10" is no duration`},
		{"no calls an environment", "name: a\nfunctions: {f: {path: ., environment_concurrency: 0}}", "environment_concurrency: use 1 to 1000"},
		{"minimum beyond the maximum", "name: a\nfunctions: {f: {path: ., min_environments: 3, max_environments: 2}}", "more than the maximum of 2"},
		{"negative concurrency", "name: a\nfunctions: {f: {path: ., concurrency: -1}}", "negative"},
		{"bad egress", "name: a\nfunctions: {f: {path: ., egress: all}}", `"all" is not known`},
		{"egress map", "name: a\nfunctions: {f: {path: ., egress: {mode: none}}}", "none, internet or a list"},
		{"bad network", "name: a\nfunctions: {f: {path: ., egress: [example.com]}}", "example.com"},
		{"unset variable", "name: a\nfunctions: {f: {path: ., env: {A: '${NOPE}'}}}", "functions.f: env.A: the variable NOPE is not set"},
		{"open variable", "name: a\nfunctions: {f: {path: ., env: {A: '${NOPE'}}}", "is no variable"},
		{"reserved variable", "name: a\nfunctions: {f: {path: ., env: {AWS_REGION: x}}}", "reserved"},
		{"large", strings.Repeat("#", 1<<20+1), "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := manifest.Parse([]byte(tt.text), env)
			if !fault.Is(err, fault.Invalid, "Manifest") || !strings.Contains(fault.From(err).Detail, tt.want) {
				t.Errorf("got %v, want a fault with %q", err, tt.want)
			}
		})
	}
}

func TestReadFindsTheManifestOfAFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := manifest.Read(filepath.Join(dir, "mayfly.yaml"), env); !fault.Is(err, fault.Invalid, "PathNotFound") {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, manifest.FileName), []byte("name: a\nfunctions: {f: {path: sub/f.js}, g: {path: /g}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	app, err := manifest.Read(dir, env)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := app.Path(app.Functions["f"]), filepath.Join(dir, "sub", "f.js"); got != want {
		t.Errorf("path = %s, want %s", got, want)
	}
	if got := app.Path(app.Functions["g"]); got != "/g" {
		t.Errorf("path = %s, want /g", got)
	}
}

func TestSchemaIsCurrent(t *testing.T) {
	want, err := manifest.Schema(".")
	if err != nil {
		t.Fatal(err)
	}
	published, err := os.ReadFile("../../../docs/mayfly.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(manifest.SchemaFile, want) || !bytes.Equal(published, want) {
		t.Error("the schema is out of date: run go generate ./internal/cli/manifest")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(shop))
	f.Add([]byte("name: a\nfunctions: {f: }"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("functions: {f: {path: ., env: {A: '${B:-${C}}$$'}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		app, err := manifest.Parse(text, env)
		if err != nil {
			if fault.From(err).Kind != fault.Invalid {
				t.Errorf("a faulty manifest is Invalid, got %v", err)
			}
			return
		}
		for _, name := range app.Names() {
			if err := function.CheckName(name); err != nil {
				t.Errorf("accepted function %q: %v", name, err)
			}
		}
	})
}
