package autoscaler

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHistogramForgetsOldHabits(t *testing.T) {
	var h Histogram
	for range 3 * maxSamples {
		h.Observe(30 * time.Minute)
	}
	for range 3 * maxSamples {
		h.Observe(5 * time.Minute)
	}
	if all, _ := h.Samples(); all > maxSamples {
		t.Errorf("the histogram remembers %d samples, want %d at most", all, maxSamples)
	}
	if got := h.counts[30]; got > h.counts[5]/8 {
		t.Errorf("after a change of habit 30 minutes still count %d beside %d", got, h.counts[5])
	}
}

func TestHistogramKeepsLongIdleTimesApart(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{-time.Second, 0, 239 * time.Minute, 240 * time.Minute, 1 << 62} {
		h.Observe(d)
	}
	if all, outside := h.Samples(); all != 5 || outside != 2 {
		t.Errorf("got %d samples and %d outside, want 5 and 2", all, outside)
	}
	if h.counts[0] != 2 || h.counts[239] != 1 {
		t.Errorf("got %d in the first and %d in the last bucket, want 2 and 1", h.counts[0], h.counts[239])
	}
}

func TestHistogramSumsAgreeWithItsBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Histogram
		for range rapid.IntRange(0, 3000).Draw(t, "samples") {
			// Few distinct values, so that counts grow large.
			h.Observe(time.Duration(rapid.IntRange(0, 260).Draw(t, "minutes")/13*13) * time.Minute)
		}
		inside, squares := 0, 0
		for _, n := range h.counts {
			inside += int(n)
			squares += int(n) * int(n)
		}
		if inside != int(h.inside) || squares != int(h.squares) {
			t.Fatalf("sum %d and squares %d, but the buckets make %d and %d", h.inside, h.squares, inside, squares)
		}
	})
}
