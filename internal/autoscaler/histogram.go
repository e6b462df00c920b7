package autoscaler

import (
	"math"
	"time"
)

const (
	// Buckets is how many minutes of idle time a [Histogram] tells apart.
	Buckets = 240
	// maxSamples is when all counts are halved. It is how a histogram forgets: an
	// hourly function remembers its last months, a function called each minute
	// its last day. It also leaves 20 samples to the percent that the keep-alive
	// window disregards.
	maxSamples = 2048
	// recent is how many idle times beyond the buckets are remembered one by one.
	recent = 4
)

// Histogram counts the idle times of one function: the times from the end of its
// last running call to the next call. The zero value is empty. It takes half a
// kilobyte and is not safe for concurrent use.
type Histogram struct {
	counts  [Buckets]uint16 // of idle times by full minutes
	inside  uint16          // their sum
	outside uint16          // idle times of Buckets minutes and more
	squares uint32          // the sum of the counts' squares
	long    [recent]uint16  // the last ones outside, in minutes; 0: none yet
	next    uint8           // where the next of them goes
}

// Observe counts an idle time. One that is negative, because clocks jump or
// calls overlap, counts as none.
func (h *Histogram) Observe(idle time.Duration) {
	if int(h.inside)+int(h.outside) >= maxSamples {
		h.halve()
	}
	minutes := max(0, idle) / time.Minute
	if minutes >= Buckets {
		h.outside++
		h.long[h.next] = uint16(min(minutes, math.MaxUint16))
		h.next = (h.next + 1) % recent
		return
	}
	h.squares += 2*uint32(h.counts[minutes]) + 1
	h.counts[minutes]++
	h.inside++
}

// Samples returns how many idle times are remembered, and how many of them were
// longer than the buckets reach.
func (h *Histogram) Samples() (all, outside int) {
	return int(h.inside) + int(h.outside), int(h.outside)
}

// halve forgets half of everything. A single sample in a bucket is forgotten.
func (h *Histogram) halve() {
	h.inside, h.squares = 0, 0
	for i := range h.counts {
		h.counts[i] /= 2
		h.inside += h.counts[i]
		h.squares += uint32(h.counts[i]) * uint32(h.counts[i])
	}
	h.outside /= 2
}

// variation is the coefficient of variation of the buckets' counts: 0 if idle
// times are spread evenly, the root of 239 if all fall into one bucket.
func (h *Histogram) variation() float64 {
	if h.inside == 0 {
		return 0
	}
	mean := float64(h.inside) / Buckets
	return math.Sqrt(max(0, float64(h.squares)/Buckets-mean*mean)) / mean
}

// percentiles returns the buckets in which two shares of the idle times inside
// are reached.
func (h *Histogram) percentiles(low, high float64) (first, last int) {
	needLow := max(1, int(math.Ceil(low*float64(h.inside))))
	needHigh := max(1, int(math.Ceil(high*float64(h.inside))))
	sum, first := 0, -1
	for i, n := range h.counts {
		sum += int(n)
		if first < 0 && sum >= needLow {
			first = i
		}
		if sum >= needHigh {
			return first, i
		}
	}
	return max(0, first), Buckets - 1
}

// period returns the shortest and the longest of the remembered idle times
// outside, and whether there are enough of them to be compared.
func (h *Histogram) period() (shortest, longest time.Duration, ok bool) {
	low, high := h.long[0], h.long[0]
	for _, m := range h.long[1:] {
		low, high = min(low, m), max(high, m)
	}
	return time.Duration(low) * time.Minute, time.Duration(high) * time.Minute, low > 0
}
