package server_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/server"
)

func TestProfilesNeedTheNodesOwnKey(t *testing.T) {
	loaded, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := loaded.Config
	cfg.DataDir, cfg.Sandbox = t.TempDir(), "none"
	cfg.Control, cfg.Gateway, cfg.DrainTimeout = "127.0.0.1:0", "127.0.0.1:0", time.Second
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready, ended := make(chan server.Info, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, cfg, server.Options{
			Log: slog.New(slog.DiscardHandler), Ready: func(i server.Info) { ready <- i },
		})
	}()
	var control string
	select {
	case i := <-ready:
		control = i.Control
	case err := <-ended:
		t.Fatalf("the node ended: %v", err)
	}
	keys, err := auth.ReadKeys(cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, c := range []struct {
		name, path, token string
		status            int
		content           string
	}{
		{"no token", "goroutine?debug=1", "", 401, "profiles need the key"},
		{"unknown token", "goroutine?debug=1", "mf_other", 401, "profiles need the key"},
		{"goroutines", "goroutine?debug=1", keys.Default().Token, 200, "goroutine profile"},
		{"locks", "mutex?debug=1", keys.Default().Token, 200, "--- mutex"},
		{"waiting", "block?debug=1", keys.Default().Token, 200, "--- contention"},
		{"no such profile", "secrets", keys.Default().Token, 404, "Unknown profile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, control+"/v1/debug/pprof/"+c.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || !strings.Contains(string(body), c.content) {
				t.Errorf("got %d: %.200s, want %d with %q", res.StatusCode, body, c.status, c.content)
			}
		})
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}
