package egress_test

import (
	"testing"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
	"mayfly.dev/mayfly/test/netlab"
)

// BenchmarkAcquire takes and releases namespaces that are made for it, and
// BenchmarkAcquireReady, with the filling of the pool off the clock, those that
// are ready.
func BenchmarkAcquire(b *testing.B) {
	for name, e := range policies {
		b.Run(name, func(b *testing.B) {
			netlab.New(b)
			m := newManager(b, egress.Config{})
			for b.Loop() {
				n, err := m.Acquire(b.Context(), e)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := n.Release(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func BenchmarkAcquireReady(b *testing.B) {
	for _, name := range []string{"internet", "allow"} {
		b.Run(name, func(b *testing.B) {
			netlab.New(b)
			m := newManager(b, egress.Config{Pool: 4})
			for b.Loop() {
				b.StopTimer()
				eventually(b, "a namespace is ready", func() bool { return m.Ready() > 0 })
				b.StartTimer()
				n, err := m.Acquire(b.Context(), policies[name])
				b.StopTimer()
				if err != nil {
					b.Fatal(err)
				}
				if err := n.Release(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkBind gives namespaces that were acquired unbound their policy.
func BenchmarkBind(b *testing.B) {
	for name, e := range policies {
		b.Run(name, func(b *testing.B) {
			netlab.New(b)
			m := newManager(b, egress.Config{})
			for b.Loop() {
				b.StopTimer()
				n, err := m.AcquireUnbound(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := n.Bind(b.Context(), e); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := n.Release(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

var policies = map[string]function.Egress{
	"none": none, "internet": internet, "allow": allow("203.0.113.0/24", "10.0.0.0/8"),
}
