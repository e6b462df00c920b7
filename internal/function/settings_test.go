package function_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

func valid() function.Settings {
	s := function.Settings{Runtime: "python3.13", Handler: "handler.handler"}
	s.Fill()
	return s
}

func TestEmptySettingsGetTheDefaults(t *testing.T) {
	want := function.Settings{
		Runtime: "python3.13", Handler: "handler.handler", Architecture: "x86_64", MemoryMB: 128,
		Timeout: 3 * time.Second, EphemeralMB: 512, Egress: function.Egress{Mode: function.EgressInternet},
		TracingMode: "PassThrough", LogFormat: "Text",
	}
	got := valid()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("filled settings (-want +got):\n%s", diff)
	}
	if err := got.Check(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
}

func TestSettingsOutOfBoundsAreRefused(t *testing.T) {
	cases := []struct {
		name   string
		change func(*function.Settings)
		reason string // empty: accepted
	}{
		{"no runtime", func(s *function.Settings) { s.Runtime = "" }, "Runtime"},
		{"no handler", func(s *function.Settings) { s.Handler = "" }, "Handler"},
		{"no handler with a custom runtime", func(s *function.Settings) { s.Runtime, s.Handler = "provided.al2023", "" }, ""},
		{"handler with a blank", func(s *function.Settings) { s.Handler = "a b" }, "Handler"},
		{"handler too long", func(s *function.Settings) { s.Handler = strings.Repeat("a", 129) }, "Handler"},
		{"architecture", func(s *function.Settings) { s.Architecture = "X86_64" }, "Architecture"},
		{"least memory", func(s *function.Settings) { s.MemoryMB = 128 }, ""},
		{"too little memory", func(s *function.Settings) { s.MemoryMB = 127 }, "MemorySize"},
		{"most memory", func(s *function.Settings) { s.MemoryMB = 10240 }, ""},
		{"too much memory", func(s *function.Settings) { s.MemoryMB = 10241 }, "MemorySize"},
		{"shortest timeout", func(s *function.Settings) { s.Timeout = time.Second }, ""},
		{"timeout too short", func(s *function.Settings) { s.Timeout = 999 * time.Millisecond }, "Timeout"},
		{"longest timeout", func(s *function.Settings) { s.Timeout = 24 * time.Hour }, ""},
		{"timeout too long", func(s *function.Settings) { s.Timeout = 24*time.Hour + 1 }, "Timeout"},
		{"too small a /tmp", func(s *function.Settings) { s.EphemeralMB = 511 }, "EphemeralStorage"},
		{"too large a /tmp", func(s *function.Settings) { s.EphemeralMB = 10241 }, "EphemeralStorage"},
		{"description too long", func(s *function.Settings) { s.Description = strings.Repeat("a", 257) }, "Description"},
		{"negative idle timeout", func(s *function.Settings) { s.IdleTimeout = -1 }, "IdleTimeout"},
		{"tracing mode", func(s *function.Settings) { s.TracingMode = "on" }, "TracingMode"},
		{"log format", func(s *function.Settings) { s.LogFormat = "xml" }, "LogFormat"},
		{"environment", func(s *function.Settings) { s.Env = map[string]string{"STAGE": "test"} }, ""},
		{"environment name", func(s *function.Settings) { s.Env = map[string]string{"1A": "x"} }, "Environment"},
		{"environment value", func(s *function.Settings) { s.Env = map[string]string{"AB": "x\x00y"} }, "Environment"},
		{"reserved environment", func(s *function.Settings) { s.Env = map[string]string{"AWS_REGION": "x"} }, "ReservedEnvironment"},
		{"environment too large", func(s *function.Settings) { s.Env = map[string]string{"AB": strings.Repeat("x", 4095)} }, "EnvironmentSize"},
		{"largest environment", func(s *function.Settings) { s.Env = map[string]string{"AB": strings.Repeat("x", 4094)} }, ""},
		{"no egress", func(s *function.Settings) { s.Egress.Mode = function.EgressNone }, ""},
		{"egress mode", func(s *function.Settings) { s.Egress.Mode = "all" }, "Egress"},
		{"allow without a list", func(s *function.Settings) { s.Egress.Mode = function.EgressAllow }, "Egress"},
		{"list without allow", func(s *function.Settings) { s.Egress.Allow = []string{"203.0.113.0/24"} }, "Egress"},
		{
			"allow-list",
			func(s *function.Settings) {
				s.Egress = function.Egress{Mode: function.EgressAllow, Allow: []string{"203.0.113.0/24"}}
			}, "",
		},
		{
			"network that is none",
			func(s *function.Settings) {
				s.Egress = function.Egress{Mode: function.EgressAllow, Allow: []string{"203.0.113.0"}}
			}, "Egress",
		},
		{
			"network of IPv6",
			func(s *function.Settings) {
				s.Egress = function.Egress{Mode: function.EgressAllow, Allow: []string{"203.0.113.0/24", "2001:db8::/32"}}
			}, "Egress",
		},
		{
			"longest allow-list",
			func(s *function.Settings) {
				s.Egress = function.Egress{Mode: function.EgressAllow, Allow: slices.Repeat([]string{"203.0.113.0/24"}, function.MaxEgressNetworks)}
			}, "",
		},
		{
			"allow-list too long",
			func(s *function.Settings) {
				s.Egress = function.Egress{Mode: function.EgressAllow, Allow: slices.Repeat([]string{"203.0.113.0/24"}, function.MaxEgressNetworks+1)}
			}, "Egress",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := valid()
			c.change(&s)
			err := s.Check()
			if c.reason == "" && err != nil || c.reason != "" && !fault.Is(err, fault.Invalid, c.reason) {
				t.Errorf("got %v, want reason %q", err, c.reason)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "a-B_9": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "a.b": false, "a/b": false, "ä": false, "a b": false, "a\n": false,
	} {
		if err := function.CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q) = %v, want valid: %v", name, err, ok)
		}
	}
}

func TestARNsAreWrittenAsAWSWritesThem(t *testing.T) {
	a := function.ARN{Partition: "aws", Region: "eu-west-1", Account: "123456789012", Name: "f"}
	if got := a.String(); got != "arn:aws:lambda:eu-west-1:123456789012:function:f" {
		t.Errorf("got %s", got)
	}
	a.Qualifier = function.Latest
	if got := a.String(); got != "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST" {
		t.Errorf("qualified: got %s", got)
	}
}

func TestAClonedFunctionSharesNothing(t *testing.T) {
	one := 1
	f := &function.Function{
		Name: "f", ReservedConcurrency: &one, Tags: map[string]string{"a": "1"},
		URL:    &function.URL{ID: "x", CORS: &function.CORS{AllowOrigins: []string{"*"}}},
		Latest: function.Version{Settings: function.Settings{Env: map[string]string{"A": "1"}}},
		Next:   &function.Version{Settings: function.Settings{Egress: function.Egress{Allow: []string{"10.0.0.0/8"}}}},
	}
	before := fmt.Sprintf("%+v %+v %+v %v", f.Latest.Env, f.Next.Egress, *f.URL.CORS, f.Tags)
	c := f.Clone()
	if diff := cmp.Diff(f, c); diff != "" {
		t.Fatalf("the clone differs:\n%s", diff)
	}
	c.Tags["a"], c.Latest.Env["A"], c.Next.Egress.Allow[0], c.URL.CORS.AllowOrigins[0] = "2", "2", "2", "2"
	*c.ReservedConcurrency, c.URL.ID = 2, "y"
	after := fmt.Sprintf("%+v %+v %+v %v", f.Latest.Env, f.Next.Egress, *f.URL.CORS, f.Tags)
	if before != after || *f.ReservedConcurrency != 1 || f.URL.ID != "x" {
		t.Errorf("changing the clone changed the function: %s", after)
	}
}
