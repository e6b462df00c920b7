package shim_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

var hello = map[language.Family]spec{
	language.Node: {
		family: language.Node, handler: "index.handler",
		files: map[string]string{"index.js": `exports.handler = async (event) => ({ hello: event.name });`},
	},
	language.Python: {
		family: language.Python, handler: "app.handler",
		files: map[string]string{"app.py": "def handler(event, context):\n    return {'hello': event['name']}\n"},
	},
}

func BenchmarkWarmInvoke(b *testing.B) {
	for family, s := range hello {
		b.Run(string(family), func(b *testing.B) {
			d := start(b, s)
			inv := &invocation.Invocation{
				ID: "0f3c3f1e-6f0c-4f5b-9d1b-2f6f3a0c9b11", ARN: "arn:aws:lambda:us-east-1:000000000000:function:hello",
				Payload: []byte(`{"name":"world"}`), Deadline: time.Now().Add(time.Hour),
			}
			for b.Loop() {
				if _, err := d.session.Invoke(b.Context(), inv); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPipelined has eight callers at once of an environment that runs one
// invocation after the other.
func BenchmarkPipelined(b *testing.B) {
	for family, s := range hello {
		b.Run(string(family), func(b *testing.B) {
			d := start(b, s)
			inv := &invocation.Invocation{
				ID: "0f3c3f1e-6f0c-4f5b-9d1b-2f6f3a0c9b11", ARN: "arn:aws:lambda:us-east-1:000000000000:function:hello",
				Payload: []byte(`{"name":"world"}`), Deadline: time.Now().Add(time.Hour),
			}
			line := d.session.(runtimeapi.Pipeliner)
			var left atomic.Int64
			left.Store(int64(b.N))
			var callers sync.WaitGroup
			b.ResetTimer()
			for range 8 {
				callers.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := line.InvokeInLine(b.Context(), inv, func() {}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			callers.Wait()
		})
	}
}

// BenchmarkColdInvoke is from nothing to the first answer, without a sandbox.
func BenchmarkColdInvoke(b *testing.B) {
	for family, s := range hello {
		b.Run(string(family), func(b *testing.B) {
			s.adapter = newAdapter(b)
			if err := s.adapter.Prepare(b.Context(), interpreter(b, family)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				d := start(b, s)
				d.call(`{"name":"world"}`)
				d.stop()
			}
		})
	}
}

// BenchmarkBind is from a started stem to the first answer, without a sandbox.
func BenchmarkBind(b *testing.B) {
	for family, s := range hello {
		b.Run(string(family), func(b *testing.B) {
			s.adapter = newAdapter(b)
			if err := s.adapter.Prepare(b.Context(), interpreter(b, family)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				b.StopTimer()
				p := plant(b, s)
				b.StartTimer()
				d := p.bind(b, s)
				if err := d.ready(); err != nil {
					b.Fatal(err)
				}
				d.call(`{"name":"world"}`)
				b.StopTimer()
				d.stop()
				b.StartTimer()
			}
		})
	}
}
