package server

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/language"
)

// TestInterpretersArePreparedOnce lets two scans find interpreters, one of them
// twice and one that fails.
func TestInterpretersArePreparedOnce(t *testing.T) {
	old := language.Interpreter{Family: language.Python, Version: "3.11.2", Path: "/usr/bin/python3.11"}
	broken := language.Interpreter{Family: language.Python, Version: "3.12.1", Path: "/opt/python3.12"}
	added := language.Interpreter{Family: language.Node, Version: "22.1.0", Path: "/opt/node"}
	synctest.Test(t, func(t *testing.T) {
		r := &runtimes{log: slog.New(slog.DiscardHandler), scans: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		ended := make(chan error, 1)
		go func() {
			ended <- r.Prepare(ctx, func(_ context.Context, in language.Interpreter) error {
				got = append(got, in.Path)
				if in == broken {
					return errors.New("no compiler")
				}
				return nil
			})
		}()
		r.keep([]language.Interpreter{old, broken})
		synctest.Wait()
		r.keep([]language.Interpreter{old, broken, added})
		r.keep([]language.Interpreter{old, broken, added})
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("prepare ended with %v", err)
		}
		if diff := cmp.Diff([]string{old.Path, broken.Path, added.Path}, got); diff != "" {
			t.Errorf("prepared (-want +got):\n%s", diff)
		}
	})
}
