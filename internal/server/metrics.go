package server

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mayfly.dev/mayfly/internal/invocation"
)

// metrics is what /metrics shows. No label has an unbounded set of values.
type metrics struct {
	registry    *prometheus.Registry
	invocations *prometheus.CounterVec
	duration    prometheus.Histogram
	coldStarts  *prometheus.CounterVec
	phases      *prometheus.HistogramVec
}

func newMetrics(n *node) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		invocations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mayfly_invocations_total", Help: "Invocations by how they ended: ok, error, timeout, throttled, fault.",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mayfly_invocation_duration_seconds", Help: "Time in user code.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 20),
		}),
		coldStarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mayfly_cold_starts_total", Help: "Invocations that waited for the start of an environment, by why there was none.",
		}, []string{"reason"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mayfly_cold_start_phase_seconds", Help: "Time of the phases of cold starts: queue, sandbox, runtime, load, init, and total.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 20),
		}, []string{"phase"}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m.registry.MustRegister(
		m.invocations, m.duration, m.coldStarts, m.phases,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("mayfly_invocations_in_flight", "Invocations that wait or run.", func() float64 { return float64(n.dispatcher.InFlight()) }),
		gauge("mayfly_environments_idle", "Environments that serve nothing.", func() float64 { return float64(n.pools.Totals().Idle) }),
		gauge("mayfly_environments_busy", "Environments that run an invocation.", func() float64 { return float64(n.pools.Totals().Busy) }),
		gauge("mayfly_environments_frozen", "Idle environments whose processes are stopped.", func() float64 { return float64(n.pools.Totals().Frozen) }),
		gauge("mayfly_environments_starting", "Environments that are being started or wait for their turn.", func() float64 { return float64(n.pools.Totals().Starting) }),
		gauge("mayfly_stems", "Started runtimes that wait to be bound to a function.", func() float64 { return float64(n.pools.Totals().Stems) }),
		gauge("mayfly_invocations_waiting", "Invocations that wait for an environment.", func() float64 { return float64(n.pools.Totals().Waiting) }),
		gauge("mayfly_environments_memory_bytes", "Memory set aside for environments.", func() float64 { return float64(n.pools.Totals().MemoryBytes) }),
		gauge("mayfly_telemetry_queue_entries", "Records and log lines that wait to be written.", func() float64 { return float64(n.store.Queued()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "mayfly_telemetry_dropped_total", Help: "Records and log lines lost because the queue was full or the disk failed.",
		}, func() float64 { return float64(n.store.Dropped()) }),
	)
	return m
}

func (m *metrics) record(r *invocation.Record) {
	m.invocations.WithLabelValues(r.Outcome).Inc()
	if r.Duration > 0 {
		m.duration.Observe(r.Duration.Seconds())
	}
	if !r.ColdStart {
		return
	}
	m.coldStarts.WithLabelValues(r.ColdStartReason).Inc()
	total := time.Duration(0)
	for _, p := range []struct {
		name string
		took time.Duration
	}{{"queue", r.Queue}, {"sandbox", r.Sandbox}, {"runtime", r.Runtime}, {"load", r.Load}, {"init", r.Init}} {
		m.phases.WithLabelValues(p.name).Observe(p.took.Seconds())
		total += p.took
	}
	m.phases.WithLabelValues("total").Observe(total.Seconds())
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
