package shim_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/shim"
)

// planted is a stem and the directory in which a function's code will be.
type planted struct {
	stem    runtimeapi.Stem
	adapter *shim.Adapter
	sandbox *bareSandbox
	task    string
}

// plant starts a stem and waits for it.
func plant(tb testing.TB, s spec) *planted {
	tb.Helper()
	if s.adapter == nil {
		s.adapter = newAdapter(tb)
	}
	in := interpreter(tb, s.family)
	p := &planted{adapter: s.adapter, task: writeFiles(tb, nil)}
	p.sandbox = newSandbox(tb, p.adapter.Mounts(in), p.task)
	var err error
	if p.stem, err = p.adapter.LaunchStem(tb.Context(), p.sandbox, "e1", in); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.sandbox.Destroy(context.Background()); err != nil {
			tb.Error(err)
		}
		if err := p.stem.Close(); err != nil {
			tb.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	if err := p.stem.Ready(ctx); err != nil {
		tb.Fatalf("the stem did not start: %v", err)
	}
	return p
}

// bind puts the code in its place and binds the stem to it.
func (p *planted) bind(tb testing.TB, s spec) *deployed {
	tb.Helper()
	fill(tb, p.task, s.files)
	d := &deployed{t: tb, output: &transcript{}, sandbox: p.sandbox}
	l := s.launch(tb, d.output.add)
	if !p.adapter.Binds(l.Version) {
		tb.Fatal("the version can't be bound")
	}
	var err error
	if d.session, err = p.stem.Bind(tb.Context(), l); err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestStemServesTheVersionThatItIsBoundTo(t *testing.T) {
	t.Parallel()
	for family, s := range hello {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			d := plant(t, s).bind(t, s)
			if err := d.ready(); err != nil {
				t.Fatalf("init: %v\n%s", err, d.output.text())
			}
			if got := strings.ReplaceAll(d.call(`{"name":"you"}`), " ", ""); got != `{"hello":"you"}` {
				t.Errorf("got %s", got)
			}
			if took := d.session.Started(); took != 0 {
				t.Errorf("the runtime took %s to start, want nothing", took)
			}
		})
	}
}

func TestWholeStartSaysHowLongItTook(t *testing.T) {
	t.Parallel()
	for family, s := range hello {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			if took := start(t, s).session.Started(); took <= 0 {
				t.Errorf("the runtime took %s to start", took)
			}
		})
	}
}

func TestVersionsThatCanNotBeBound(t *testing.T) {
	t.Parallel()
	const path = "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
	tests := []struct {
		runtime, name, value string
		want                 bool
	}{
		{"nodejs20.x", "TABLE", "t", true},
		{"nodejs20.x", "NODE_ENV", "production", true},
		{"nodejs20.x", "NODE_CONFIG_DIR", "/var/task/config", true},
		{"nodejs20.x", "NODE_PATH", "/opt/other", true},
		{"nodejs20.x", "TZ", "Europe/Berlin", true},
		{"nodejs20.x", "PYTHONHASHSEED", "0", true},
		{"nodejs20.x", "NODE_OPTIONS", "--enable-source-maps", false},
		{"nodejs20.x", "NODE_EXTRA_CA_CERTS", "/var/task/ca.pem", false},
		{"nodejs20.x", "UV_THREADPOOL_SIZE", "8", false},
		{"nodejs20.x", "OPENSSL_CONF", "/var/task/openssl.cnf", false},
		{"nodejs20.x", "SSL_CERT_FILE", "/var/task/ca.pem", false},
		{"nodejs20.x", "LD_PRELOAD", "/opt/lib/hook.so", false},
		{"python3.11", "LANG", "en_US.UTF-8", true},
		{"python3.11", "LANG", "C", false},
		{"python3.11", "LC_ALL", "C", false},
		{"python3.11", "LD_LIBRARY_PATH", path, true},
		{"python3.11", "LD_LIBRARY_PATH", "/var/task/so", false},
		{"python3.11", "PYTHONPATH", "/opt/more", true},
		{"python3.11", "PYTHONHASHSEED", "0", false},
		{"python3.11", "PYTHONUNBUFFERED", "1", false},
		{"python3.11", "MALLOC_ARENA_MAX", "2", false},
		{"python3.11", "GLIBC_TUNABLES", "glibc.malloc.check=3", false},
		{"python3.11", "SSL_CERT_FILE", "/var/task/ca.pem", true},
		{"provided.al2023", "TABLE", "t", false},
	}
	a := newAdapter(t)
	for _, tt := range tests {
		v := &function.Version{Settings: function.Settings{Runtime: tt.runtime, Env: map[string]string{tt.name: tt.value}}}
		if got := a.Binds(v); got != tt.want {
			t.Errorf("%s with %s=%s: %t, want %t", tt.runtime, tt.name, tt.value, got, tt.want)
		}
	}
}

func TestBindRefusesWhatCanNotBeBound(t *testing.T) {
	s := hello[language.Node]
	p := plant(t, s)
	l := s.launch(t, func(runtimeapi.Line) {})
	l.Env["NODE_OPTIONS"] = "--no-warnings"
	if _, err := p.stem.Bind(t.Context(), l); err == nil || !strings.Contains(err.Error(), "reads only when it starts") {
		t.Errorf("Bind: %v", err)
	}
	l = s.launch(t, func(runtimeapi.Line) {})
	l.Interpreter.Path = "/nowhere/node"
	if _, err := p.stem.Bind(t.Context(), l); err == nil || !strings.Contains(err.Error(), "/nowhere/node") {
		t.Errorf("Bind: %v", err)
	}
}

func TestStemThatEndsBeforeItIsBound(t *testing.T) {
	t.Parallel()
	for family, s := range hello {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			p := plant(t, s)
			if err := p.sandbox.Destroy(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-p.stem.Done()
			if err := p.stem.Ready(t.Context()); !isExit(err) {
				t.Errorf("Ready: %v, want an exit error", err)
			}
			if _, err := p.stem.Bind(t.Context(), s.launch(t, func(runtimeapi.Line) {})); !isExit(err) {
				t.Errorf("Bind: %v, want an exit error", err)
			}
		})
	}
}

func TestStemThatDoesNotStart(t *testing.T) {
	a := newAdapter(t)
	in := interpreter(t, language.Node)
	in.Path = "/bin/false"
	sb := newSandbox(t, a.Mounts(in), t.TempDir())
	stem, err := a.LaunchStem(t.Context(), sb, "e1", in)
	if err != nil {
		t.Fatal(err)
	}
	if err := stem.Ready(t.Context()); !isExit(err) {
		t.Errorf("Ready: %v, want an exit error", err)
	}
	if err := stem.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	in.Path = "/nowhere/node"
	if _, err := a.LaunchStem(t.Context(), newSandbox(t, nil, t.TempDir()), "e1", in); err == nil {
		t.Error("a program that is not there was started")
	}
}

func TestStemIsReadyAsLongAsItsContext(t *testing.T) {
	a := newAdapter(t)
	in := interpreter(t, language.Node)
	in.Path = writeFiles(t, map[string]string{"node": "#!/bin/sh\nread wait <&3\n"}) + "/node"
	makeExecutable(t, in.Path)
	sb := newSandbox(t, a.Mounts(in), t.TempDir())
	stem, err := a.LaunchStem(t.Context(), sb, "e1", in)
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("too long")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := stem.Ready(ctx); !errors.Is(err, cause) {
		t.Errorf("Ready: %v, want %v", err, cause)
	}
	if err := stem.Close(); err != nil { // the program ends with its socket
		t.Errorf("Close: %v", err)
	}
	<-sb.process.Done()
}

func TestBindWithAContextThatHasEnded(t *testing.T) {
	s := hello[language.Python]
	p := plant(t, s)
	cause := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := p.stem.Bind(ctx, s.launch(t, func(runtimeapi.Line) {})); !errors.Is(err, cause) {
		t.Errorf("Bind: %v, want %v", err, cause)
	}
}

func TestStemEndsWhenItIsClosed(t *testing.T) {
	t.Parallel()
	for family, s := range hello {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			p := plant(t, s)
			for range 2 {
				if err := p.stem.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			<-p.sandbox.process.Done()
		})
	}
}
