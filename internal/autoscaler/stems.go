package autoscaler

import (
	"math"
	"time"
)

const (
	demandMinutes = 10
	// stemMemory is how long a runtime that no deployed function uses keeps a stem
	// after its last start.
	stemMemory = time.Hour
	// quietStems stand ready for a runtime in use: the second one is there while
	// the first is replaced.
	quietStems = 2
)

// StemDemand watches the starts of one runtime and tells how many stem
// environments would have served them all. The zero value has seen none. It is
// not safe for concurrent use.
type StemDemand struct {
	level float64                // starts that were not replaced yet
	peaks [demandMinutes]float64 // of level, by minute
	now   int64                  // the newest minute in peaks
	last  time.Time
}

// Observe counts a start at the time now. refill is how long a new stem takes.
func (d *StemDemand) Observe(now time.Time, refill time.Duration) {
	if elapsed := now.Sub(d.last); d.last.IsZero() || refill <= 0 || elapsed < 0 {
		d.level = 0
	} else {
		d.level = max(0, d.level-float64(elapsed)/float64(refill))
	}
	d.level++
	d.last = now
	d.advance(now)
	at := &d.peaks[d.now%demandMinutes]
	*at = max(*at, d.level)
}

// advance empties the minutes that have begun since.
func (d *StemDemand) advance(now time.Time) {
	minute := max(0, now.Unix()/60)
	if minute-d.now >= demandMinutes || minute < d.now { // long ago, or a clock that jumped
		clear(d.peaks[:])
	} else {
		for m := d.now + 1; m <= minute; m++ {
			d.peaks[m%demandMinutes] = 0
		}
	}
	d.now = minute
}

// Peak returns how many stems the starts of the last minutes needed at once. It
// fades within ten minutes.
func (d *StemDemand) Peak(now time.Time) float64 {
	d.advance(now)
	peak := 0.0
	for age := range int64(demandMinutes) {
		if m := d.now - age; m >= 0 {
			peak = max(peak, d.peaks[m%demandMinutes]*(1-float64(age)/demandMinutes))
		}
	}
	return peak
}

// Used returns how long ago the last start was; ok is false if there was none.
func (d *StemDemand) Used(now time.Time) (ago time.Duration, ok bool) {
	return now.Sub(d.last), !d.last.IsZero()
}

// StemLimits bound the stems of a runtime.
type StemLimits struct {
	// Deployed reports whether any deployed function has the runtime.
	Deployed bool
	// Max is the most stems of the runtime; 0: none at all.
	Max int
	// MemoryBytes is what they may take together, StemBytes what one takes. The
	// last stem of a runtime in use stays whatever they say: it saves more than
	// any other use of its memory.
	MemoryBytes, StemBytes int64
}

// Stems returns how many stems of a runtime should be ready or starting at the
// time now.
func Stems(d *StemDemand, now time.Time, l StemLimits) int {
	ago, used := d.Used(now)
	recent := used && ago < stemMemory
	if !recent && !l.Deployed {
		return 0
	}
	want := 1
	if recent {
		want = max(quietStems, int(math.Ceil(d.Peak(now))))
	}
	if l.StemBytes > 0 {
		want = min(want, max(1, int(l.MemoryBytes/l.StemBytes)))
	}
	return max(0, min(want, l.Max))
}
