package server_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer is a log that several goroutines write.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// TestStoppedNodeLeavesNothing runs a node twice over one data directory. A part
// that outlives it, or that uses another which has stopped, says so in the log or
// is found by goleak.
func TestStoppedNodeLeavesNothing(t *testing.T) {
	loaded, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := loaded.Config
	cfg.DataDir, cfg.Sandbox = t.TempDir(), "none"
	cfg.Control, cfg.Gateway, cfg.DrainTimeout = "127.0.0.1:0", "127.0.0.1:0", time.Second
	for range 2 {
		var log buffer
		ctx, stop := context.WithCancel(t.Context())
		err := server.Run(ctx, cfg, server.Options{
			Log:   slog.New(slog.NewTextHandler(&log, nil)),
			Ready: func(server.Info) { stop() },
		})
		stop()
		if err != nil {
			t.Fatalf("run: %v", err)
		}
		if text := log.text.String(); strings.Contains(text, "level=ERROR") {
			t.Errorf("the node's log:\n%s", text)
		}
	}
}
