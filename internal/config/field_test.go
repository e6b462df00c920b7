package config

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEveryKeyHasDocsAndReadsItsDefault(t *testing.T) {
	for _, f := range keys {
		if f.key == "" || docs[f.key] == "" {
			t.Errorf("%+v: a key and a comment are needed; run go generate", f)
		}
		v := reflect.New(reflect.TypeFor[Config]().Field(f.index).Type).Elem()
		if err := f.parse(v, f.initial()); err != nil {
			t.Errorf("%s: its default does not read: %v", f.key, err)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	type secrets struct {
		Token string `key:"token" secret:"true"`
		Unset string `key:"unset" secret:"true"`
		Name  string `key:"name"`
	}
	got := show(fieldsOf(reflect.TypeFor[secrets]()), reflect.ValueOf(secrets{Token: "hunter2", Name: "n"}), nil)
	want := []Row{{Key: "token", Value: "•••"}, {Key: "unset"}, {Key: "name", Value: "n"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0, "1h30m": 90 * time.Minute,
	} {
		got, err := parseDuration(text)
		if err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
		if back, err := parseDuration(formatDuration(got)); err != nil || back != want {
			t.Errorf("%s: written as %q, which reads as %s, %v", text, formatDuration(got), back, err)
		}
	}
	for _, text := range []string{"", "d", "7", "-1d", "1d-1h", "7days", "99999999d", "1.5d"} {
		if d, err := parseDuration(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, d)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"512MiB": 512 << 20, "2GB": 2e9, "1 KiB": 1024, "7B": 7, "0B": 0} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: got %d, %v, want %d", text, s, err, want)
		}
		var back Size
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != want {
			t.Errorf("%s: written as %q, which reads as %d, %v", text, s, back, err)
		}
	}
	for _, text := range []string{"", "12", "-1B", "1.5GB", "GB", "9223372036854775807KiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, s)
		}
	}
}
