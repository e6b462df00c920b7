package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/fault"
)

// load reads a configuration from a file's content, variables and flags.
func load(t *testing.T, file string, environ, args []string) (*config.Loaded, error) {
	t.Helper()
	fs := pflag.NewFlagSet("up", pflag.ContinueOnError)
	config.Flags(fs)
	path := filepath.Join(t.TempDir(), "mayfly.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fs.Parse(append([]string{"--config", path}, args...)); err != nil {
		t.Fatal(err)
	}
	return config.Load(config.Sources{Flags: fs, Environ: environ})
}

func TestDefaultsAreValid(t *testing.T) {
	l, err := load(t, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.Config.Gateway, "127.0.0.1:8080"; got != want {
		t.Errorf("gateway: got %q, want %q", got, want)
	}
	if got, want := l.Config.LogRetention, 7*24*time.Hour; got != want {
		t.Errorf("log_retention: got %s, want %s", got, want)
	}
	if l.Config.Memory.Bytes < 128<<20 || l.Config.Memory.Percent != 80 {
		t.Errorf("memory: got %+v, want 80%% of the machine's", l.Config.Memory)
	}
	if len(l.Warnings) != 0 {
		t.Errorf("warnings: got %q, want none", l.Warnings)
	}
}

func TestLaterSourceWins(t *testing.T) {
	l, err := load(t,
		"idle_timeout: 1m\ndrain_timeout: 1m\nmax_concurrency: 7\n",
		[]string{"MAYFLY_IDLE_TIMEOUT=2m", "MAYFLY_DRAIN_TIMEOUT=2m", "MAYFLY_REGION="},
		[]string{"--drain-timeout", "3m"})
	if err != nil {
		t.Fatal(err)
	}
	var got []config.Row
	for _, row := range l.Show() {
		if slices.Contains([]string{"idle_timeout", "drain_timeout", "max_concurrency", "region"}, row.Key) {
			got = append(got, row)
		}
	}
	want := []config.Row{
		{Key: "region", Value: "us-east-1", Source: config.FromDefault},
		{Key: "drain_timeout", Value: "3m", Source: config.FromFlag, Origin: "flag --drain-timeout"},
		{Key: "idle_timeout", Value: "2m", Source: config.FromEnvironment, Origin: "environment MAYFLY_IDLE_TIMEOUT"},
		{Key: "max_concurrency", Value: "7", Source: config.FromFile, Origin: "mayfly.yaml:3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if l.Config.DrainTimeout != 3*time.Minute || l.Config.MaxConcurrency != 7 {
		t.Errorf("config: got %+v", l.Config)
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	_, err := load(t,
		"contrl: 127.0.0.1:1\nlog_level: loud\nmemory: [1]\nmax_concurrency: 3\nmax_concurrency: 4\n",
		[]string{"MAYFLY_DRAIN_TIMEOUT=soon"},
		[]string{"--uid-base", "10", "--gateway", ":8080"})
	faults, ok := errors.AsType[config.KeyErrors](err)
	if !ok {
		t.Fatalf("got %v, want config.KeyErrors", err)
	}
	want := config.KeyErrors{
		{"contrl", "mayfly.yaml:1", "there is no such key, did you mean control?"},
		{"memory", "mayfly.yaml:3", "the value must be a single word or number"},
		{"max_concurrency", "mayfly.yaml:5", "the key is set twice"},
		{"log_level", "mayfly.yaml:2", `"loud" is not known: use debug, info, warn, error`},
		{"drain_timeout", "environment MAYFLY_DRAIN_TIMEOUT", `"soon" is not a duration: write for example 500ms, 30s, 5m, 12h or 7d`},
		{"uid_base", "flag --uid-base", "10 is less than 65536"},
		{"gateway", "flag --gateway", `":8080" names no host: write 127.0.0.1:8080 for this machine alone, or 0.0.0.0:8080 for every interface`},
	}
	if diff := cmp.Diff(want, faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if !fault.Is(err, fault.Invalid, "Configuration") {
		t.Errorf("got %v, want a fault of kind Invalid", err)
	}
}

func TestFaultyValues(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"not YAML", "a: [", "the file is not YAML"},
		{"a list", "- a\n", "must hold keys with values"},
		{"two documents", "region: eu-west-1\n---\nregion: eu-west-1\n", "more than one YAML document"},
		{"no value", "region:\n", "must be a single word or number"},
		{"empty value", "region: ''\n", "the value is empty"},
		{"alias", "region: &a eu-west-1\nsandbox: *a\n", "must be a single word or number"},
		{"unknown unit", "log_max_size: 5 parsecs\n", "is not a size"},
		{"size out of range", "log_max_size: 1MiB\n", "is less than 16MiB"},
		{"huge size", "log_max_size: 99999999999TiB\n", "is not a size"},
		{"share out of range", "memory: 120%\n", "is not a share"},
		{"memory too small", "memory: 64MiB\n", "is less than 128MiB"},
		{"negative duration", "idle_timeout: -5m\n", "is not a duration"},
		{"fraction of a number", "max_concurrency: 1.5\n", "is not a whole number"},
		{"bad region", "region: Mars\n", "is not the name of a region"},
		{"IPv6 subnet", "subnet: fd00::/16\n", "is not usable"},
		{"subnet with host bits", "subnet: 10.1.2.3/16\n", "write 10.1.0.0/16"},
		{"no port", "control: localhost\n", "write host:port"},
		{"bad port", "control: 127.0.0.1:99999\n", "is not a port"},
		{"shared address", "control: 127.0.0.1:8080\n", "can't share 127.0.0.1:8080"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.file, nil, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if n := strings.Count(err.Error(), "\n"); n != 1 {
				t.Errorf("got %d faults, want 1: %v", n, err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	l, err := load(t, "control: 0.0.0.0:9000\nsandbox: none\n", []string{"MAYFLY_LOGLEVEL=debug", "MAYFLY_ENDPOINT=http://x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the environment variable MAYFLY_LOGLEVEL sets nothing: there is no such key, did you mean log_level?",
		"the sandbox driver none isolates nothing: functions can read and change whatever this process can",
		"the control plane listens beyond loopback (0.0.0.0:9000): keys cross the network unencrypted unless a TLS proxy stands in front",
	}
	if diff := cmp.Diff(want, l.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestFileIsFoundByVariable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("data_dir: here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := config.Load(config.Sources{Environ: []string{"MAYFLY_CONFIG=" + path}})
	if err != nil {
		t.Fatal(err)
	}
	if l.File != path {
		t.Errorf("file: got %q, want %q", l.File, path)
	}
	if !filepath.IsAbs(l.Config.DataDir) || filepath.Base(l.Config.DataDir) != "here" {
		t.Errorf("data_dir: got %q, want an absolute path to here", l.Config.DataDir)
	}
}

func TestNamedFileMustExist(t *testing.T) {
	_, err := config.Load(config.Sources{Environ: []string{"MAYFLY_CONFIG=/nonexistent/mayfly.yaml"}})
	if err == nil || !strings.Contains(err.Error(), "can't be read") {
		t.Errorf("got %v, want a fault about the file", err)
	}
}

func TestDataDirOfUsers(t *testing.T) {
	if os.Geteuid() == 0 {
		if got, want := config.DefaultDataDir(), "/var/lib/mayfly"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		return
	}
	t.Setenv("XDG_STATE_HOME", "/state")
	if got, want := config.DefaultDataDir(), "/state/mayfly"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"", "region: eu-west-1\n", "a: &a [*a]\n", "? x\n: y\n", "memory: 10%\n", "idle_timeout: 1d1h\n", "{control: 1:1, control: 2}", "---\n...\n---\n",
	} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "mayfly.yaml")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := config.Load(config.Sources{Environ: []string{"MAYFLY_CONFIG=" + path}})
		if err != nil {
			if _, ok := errors.AsType[config.KeyErrors](err); !ok {
				t.Fatalf("got %T, want config.KeyErrors", err)
			}
			return
		}
		if n := len(l.Show()); n == 0 {
			t.Error("a valid configuration shows no keys")
		}
	})
}
