package environment_test

import (
	"io"
	"net"
	"testing"

	"mayfly.dev/mayfly/internal/environment"
	"mayfly.dev/mayfly/internal/environment/environmenttest"
)

// inside is the platform's API of one environment.
type inside struct {
	net.Listener

	ended int
}

func (i *inside) Close() error {
	i.ended++
	return i.Listener.Close()
}

func TestThePlatformsAPIEndsWithTheEnvironment(t *testing.T) {
	for _, from := range []string{"nothing", "a stem"} {
		t.Run("from "+from, func(t *testing.T) {
			var api *inside
			var served, told string
			w := &environmenttest.World{
				Stems: true,
				Inside: func(l net.Listener, environment string) (string, io.Closer) {
					api, served = &inside{Listener: l}, environment
					return "http://here", api
				},
				Environ: func(endpoint string) { told = endpoint },
			}
			f := w.Factory()
			v := environmenttest.Version("f")
			var stem *environment.Stem
			if from == "a stem" {
				in, _ := f.StemFor(v)
				var err error
				if stem, err = f.StartStem(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			}
			e, err := f.Start(t.Context(), v, stem)
			if err != nil {
				t.Fatal(err)
			}
			if served != e.ID || told != "http://here" || api.ended != 0 {
				t.Errorf("served %q, told %q, ended %d times; want %q at http://here", served, told, api.ended, e.ID)
			}
			if err := e.Stop(t.Context()); err != nil || api.ended != 1 {
				t.Errorf("stopped: %v, the API ended %d times, want once", err, api.ended)
			}
		})
	}
}
