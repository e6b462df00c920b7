package auth_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/fault"
)

func open(t *testing.T, dir string) *auth.Keys {
	t.Helper()
	keys, err := auth.OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestFirstStartMakesAPrivateKeyThatStays(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir).Default()
	if diff := cmp.Diff(first, open(t, dir).Default()); diff != "" {
		t.Errorf("the second start has another key (-first +second):\n%s", diff)
	}
	if len(first.AccessKeyID) != 20 || !strings.HasPrefix(first.AccessKeyID, "MAYFLY") {
		t.Errorf("access key id %q, want 20 characters that start with MAYFLY", first.AccessKeyID)
	}
	if len(first.SecretAccessKey) != 40 || len(first.Token) != 43 || !strings.HasPrefix(first.Token, "mf_") {
		t.Errorf("secret of %d and token of %d characters, want 40 and 43", len(first.SecretAccessKey), len(first.Token))
	}
	info, err := os.Stat(filepath.Join(dir, auth.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the directory holds %v, want the credentials file alone", entries)
	}
}

func TestConcurrentFirstStartsAgreeOnOneKey(t *testing.T) {
	dir := t.TempDir()
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			if keys, err := auth.OpenKeys(dir); err == nil {
				ids[i] = keys.Default().AccessKeyID
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("keys differ: %v", ids)
		}
	}
}

func TestReadKeysMakesNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := auth.ReadKeys(dir); !errors.Is(err, fs.ErrNotExist) || !fault.Is(err, fault.NotFound, "NoCredentials") {
		t.Errorf("got %v, want NoCredentials", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left %v behind", entries)
	}
}

func TestUnusableFilesAreRefused(t *testing.T) {
	change := func(f func(doc map[string]any)) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			t.Helper()
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var doc map[string]any
			if err := json.Unmarshal(raw, &doc); err != nil {
				t.Fatal(err)
			}
			f(doc)
			if raw, err = json.Marshal(doc); err != nil {
				t.Fatal(err)
			}
			write(t, path, raw)
		}
	}
	key := func(doc map[string]any) map[string]any { return doc["keys"].([]any)[0].(map[string]any) }
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, path string)
		kind   fault.Kind
		reason string
	}{
		"readable by others": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}, fault.Denied, "CredentialsExposed"},
		"a directory": {func(t *testing.T, path string) {
			t.Helper()
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, fault.Invalid, "CredentialsCorrupt"},
		"empty":          {func(t *testing.T, path string) { t.Helper(); write(t, path, nil) }, fault.Invalid, "CredentialsCorrupt"},
		"two documents":  {func(t *testing.T, path string) { t.Helper(); write(t, path, []byte("{}{}")) }, fault.Invalid, "CredentialsCorrupt"},
		"other version":  {change(func(d map[string]any) { d["version"] = 2 }), fault.Invalid, "CredentialsCorrupt"},
		"no keys":        {change(func(d map[string]any) { d["keys"] = []any{} }), fault.Invalid, "CredentialsCorrupt"},
		"short root":     {change(func(d map[string]any) { d["root"] = "AAAA" }), fault.Invalid, "CredentialsCorrupt"},
		"unknown field":  {change(func(d map[string]any) { d["kyes"] = 1 }), fault.Invalid, "CredentialsCorrupt"},
		"weak secret":    {change(func(d map[string]any) { key(d)["secretAccessKey"] = "x" }), fault.Invalid, "CredentialsCorrupt"},
		"weak token":     {change(func(d map[string]any) { key(d)["token"] = "mf_" }), fault.Invalid, "CredentialsCorrupt"},
		"bad id":         {change(func(d map[string]any) { key(d)["accessKeyId"] = "a/b" }), fault.Invalid, "CredentialsCorrupt"},
		"no namespace":   {change(func(d map[string]any) { key(d)["namespace"] = "" }), fault.Invalid, "CredentialsCorrupt"},
		"duplicate keys": {change(func(d map[string]any) { d["keys"] = []any{key(d), key(d)} }), fault.Invalid, "CredentialsCorrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			secret := open(t, dir).Default().SecretAccessKey
			c.spoil(t, filepath.Join(dir, auth.FileName))
			_, err := auth.OpenKeys(dir)
			if !fault.Is(err, c.kind, c.reason) {
				t.Fatalf("got %v, want %s", err, c.reason)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error has the secret in it")
			}
		})
	}
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTokensAndAccessKeysFindTheirIdentity(t *testing.T) {
	keys := open(t, t.TempDir())
	key := keys.Default()
	id, ok := keys.ByToken(key.Token)
	if want := (auth.Identity{Name: "admin", Namespace: "default", AccessKeyID: key.AccessKeyID}); !ok || cmp.Diff(want, id) != "" {
		t.Errorf("got %+v %v, want %+v", id, ok, want)
	}
	for _, token := range []string{"", key.Token + "x", key.Token[:42], "mf_"} {
		if _, ok := keys.ByToken(token); ok {
			t.Errorf("token %q is accepted", token)
		}
	}
	if got, ok := keys.ByAccessKey(key.AccessKeyID); !ok || got.SecretAccessKey != key.SecretAccessKey {
		t.Errorf("the access key id finds another key")
	}
	if _, ok := keys.ByAccessKey("MAYFLY00000000000000"); ok {
		t.Errorf("an unknown access key id is accepted")
	}
	if got := keys.Namespaces(); cmp.Diff([]string{"default"}, got) != "" {
		t.Errorf("namespaces %v", got)
	}
}

func TestSessionsHoldUntilTheyExpire(t *testing.T) {
	dir := t.TempDir()
	keys := open(t, dir)
	now := time.Now()
	s, err := keys.NewSession("default", auth.AssumedRole{Name: "deploy", ID: "AROA1", Session: "ci"}, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	restarted := open(t, dir)
	id, secret, err := restarted.Secret(s.AccessKeyID, s.Token, now.Add(59*time.Minute))
	if err != nil || secret != s.SecretAccessKey || id.Name != "deploy/ci" || id.Role.ID != "AROA1" || id.Namespace != "default" {
		t.Errorf("got %+v, %v, want the session of deploy/ci", id, err)
	}
	if _, _, err := keys.Secret(s.AccessKeyID, s.Token, now.Add(time.Hour)); !fault.Is(err, fault.Unauthenticated, "ExpiredSession") {
		t.Errorf("after its end: got %v, want ExpiredSession", err)
	}
	other, err := keys.NewSession("default", auth.AssumedRole{Name: "deploy"}, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2]string{
		"no token":           {s.AccessKeyID, ""},
		"another's token":    {s.AccessKeyID, other.Token},
		"changed token":      {s.AccessKeyID, "A" + s.Token},
		"without seal":       {s.AccessKeyID, strings.Split(s.Token, ".")[0] + "."},
		"far too long":       {s.AccessKeyID, s.Token + strings.Repeat("a", auth.MaxSessionTokenBytes)},
		"unknown access key": {"MAYFLYAAAAAAAAAAAAAA", ""},
	} {
		if _, _, err := keys.Secret(c[0], c[1], now); !fault.Is(err, fault.Unauthenticated, "UnknownKey") {
			t.Errorf("%s: got %v, want UnknownKey", name, err)
		}
	}
	if _, _, err := open(t, t.TempDir()).Secret(s.AccessKeyID, s.Token, now); !fault.Is(err, fault.Unauthenticated, "UnknownKey") {
		t.Errorf("on another node: got %v, want UnknownKey", err)
	}
}

func TestSealsHoldForTheirPurposeAlone(t *testing.T) {
	keys := open(t, t.TempDir())
	seal := keys.Seal("download", "a")
	if !keys.Sealed("download", "a", seal) {
		t.Error("its own seal is refused")
	}
	if keys.Sealed("session", "a", seal) || keys.Sealed("download", "b", seal) || keys.Sealed("download", "a", "") {
		t.Error("a foreign seal is accepted")
	}
}

func FuzzSessionTokensAreRefused(f *testing.F) {
	keys, err := auth.OpenKeys(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	f.Add("MAYSESAAAAAAAAAAAAAA", "e30.AAAA")
	f.Add("", ".")
	f.Add("MAYSESAAAAAAAAAAAAAA", "eyJrIjoiTUFZU0VTQUFBQUFBQUFBQUFBQUEifQ."+keys.Seal("download", "eyJrIjoiTUFZU0VTQUFBQUFBQUFBQUFBQUEifQ"))
	f.Fuzz(func(t *testing.T, id, token string) {
		if _, _, err := keys.Secret(id, token, now); !fault.Is(err, fault.Unauthenticated, "") {
			t.Errorf("%q with %q: %v", id, token, err)
		}
	})
}
