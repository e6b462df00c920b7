package autoscaler_test

import (
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
)

func BenchmarkDesired(b *testing.B) {
	o := autoscaler.Observation{
		Waiting: 50, Busy: 2, RunningOnNode: 3, ServiceTime: 20 * time.Millisecond, StartTime: 4 * time.Millisecond, Cores: 2, CPUBound: 0.2,
	}
	b.ReportAllocs()
	for b.Loop() {
		autoscaler.Desired(o)
	}
}

func BenchmarkShouldWake(b *testing.B) {
	o := autoscaler.Observation{
		Waiting: 1, Busy: 3, Idle: 1, Ahead: 4, RunningOnNode: 3, ServiceTime: time.Millisecond, Cores: 2, CPUBound: 0.9,
	}
	b.ReportAllocs()
	for b.Loop() {
		autoscaler.ShouldWake(o)
	}
}

func BenchmarkHistogramObserve(b *testing.B) {
	var h autoscaler.Histogram
	b.ReportAllocs()
	for b.Loop() {
		h.Observe(7 * time.Minute)
	}
}

func BenchmarkHybridWindows(b *testing.B) {
	var h autoscaler.Histogram
	for i := range 1000 {
		h.Observe(time.Duration(i%40) * time.Minute)
	}
	p := autoscaler.Hybrid{Fallback: 10 * time.Minute}
	b.ReportAllocs()
	for b.Loop() {
		p.Windows(&h)
	}
}

func BenchmarkGreedyDualPriority(b *testing.B) {
	var g autoscaler.GreedyDual
	b.ReportAllocs()
	for b.Loop() {
		g = g.Evicted(g.Priority(3, time.Second, 256*mib))
	}
}

func BenchmarkStems(b *testing.B) {
	var d autoscaler.StemDemand
	now := noon
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		d.Observe(now, refill)
		autoscaler.Stems(&d, now, limits)
	}
}
