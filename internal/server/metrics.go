package server

import (
	"net/http"

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
	coldStart   prometheus.Histogram
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
		coldStart: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mayfly_cold_start_duration_seconds", Help: "Time that invocations waited for a sandbox and its init phase.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m.registry.MustRegister(
		m.invocations, m.duration, m.coldStart,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("mayfly_invocations_in_flight", "Invocations that wait or run.", func() float64 { return float64(n.dispatcher.InFlight()) }),
		gauge("mayfly_environments_idle", "Environments that serve nothing.", func() float64 { return float64(n.pools.Totals().Idle) }),
		gauge("mayfly_environments_busy", "Environments that run an invocation.", func() float64 { return float64(n.pools.Totals().Busy) }),
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
	if r.ColdStart {
		m.coldStart.Observe((r.Queue + r.Sandbox + r.Init).Seconds())
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
