package autoscaler

import "time"

// Windows say when a function that is not called should have an environment.
type Windows struct {
	// PreWarm is how long after the end of its last call it needs none. Above 0,
	// an environment may end as soon as it is idle, and a new one is started when
	// PreWarm has passed without a call.
	PreWarm time.Duration
	// KeepAlive is how long, from PreWarm on, an idle environment stays.
	KeepAlive time.Duration
	// Basis is what they were derived from.
	Basis Basis
}

// Basis says how [Windows] came about.
type Basis string

// The bases.
const (
	BasisFixed     Basis = "fixed"           // a fixed time was asked for
	BasisHistogram Basis = "histogram"       // most idle times of the function lie in these windows
	BasisPeriod    Basis = "period"          // it is called rarely and regularly
	BasisRare      Basis = "rare"            // it is called rarely and irregularly: a fixed time
	BasisFew       Basis = "too few samples" // it is not known well enough: a fixed time
	BasisSpread    Basis = "no pattern"      // its idle times are spread evenly: a fixed time
)

// Warm reports whether an environment should be there when the function's last
// call ended idle ago.
func (w Windows) Warm(idle time.Duration) bool {
	return idle >= w.PreWarm && idle < w.End()
}

// End is how long after the last call nothing is kept any more.
func (w Windows) End() time.Duration { return w.PreWarm + w.KeepAlive }

// KeepWarm is a policy that derives windows from the idle times of a function.
type KeepWarm interface {
	Windows(h *Histogram) Windows
}

var (
	_ KeepWarm = Fixed(0)
	_ KeepWarm = Hybrid{}
)

// Fixed keeps every idle environment for the same time.
type Fixed time.Duration

// Windows returns the fixed time, whatever the idle times were.
func (f Fixed) Windows(*Histogram) Windows {
	return Windows{KeepAlive: time.Duration(f), Basis: BasisFixed}
}

// The parameters of [Hybrid] are those of the paper, where it names them.
const (
	head         = 0.05
	tail         = 0.99
	margin       = 10 // parts in 100 that windows are widened by
	minSamples   = 10
	minVariation = 2
	minSaved     = 2 // the part of a window's end from which on a pre-warm is worth a start
	// maxPeriodSpread is how much of the longest idle time the last ones may
	// differ by to be called regular, in parts of 100.
	maxPeriodSpread = 15
	// minPeriodMargin covers what minutes that are rounded down and a scheduler's
	// delay make of a regular call.
	minPeriodMargin = 2 * time.Minute
)

// Hybrid is the hybrid histogram policy of "Serverless in the Wild" (Shahrad and
// others, USENIX ATC 2020): environments are there from the 5th to the 99th
// percentile of the function's idle times, with a margin. Simulation showed three
// changes to be worth their while:
//
// An environment is ended before the window only if that saves at least half of
// the time to the window's end. For calls at random, the paper's policy pays a
// further start for each call and a twentieth of them cold, to save a twentieth of
// the memory.
//
// Otherwise environments stay for the fall-back time at least. The idle times are
// the function's; those of its second and third environment, which run only when
// calls overlap, are longer and would be ended all the time.
//
// The paper predicts functions whose idle times are mostly beyond the buckets by
// an ARIMA model. Here the last four of them are compared: if they are alike, as
// those of a daily schedule are, the window spans them with their own spread as
// margin; if not, the function is kept for the fall-back time.
type Hybrid struct {
	// Fallback is how long idle environments stay where no pattern is known, and at
	// least where they are not ended early.
	Fallback time.Duration
}

// Windows derives the windows of a function.
func (p Hybrid) Windows(h *Histogram) Windows {
	all, outside := h.Samples()
	switch {
	case outside*2 > all:
		return p.rare(h)
	case all < minSamples:
		return p.fallback(BasisFew)
	case h.variation() < minVariation:
		return p.fallback(BasisSpread)
	}
	first, last := h.percentiles(head, tail)
	from := time.Duration(first) * time.Minute
	to := time.Duration(last+1) * time.Minute
	from -= from * margin / 100
	to += to * margin / 100
	if from < to/minSaved {
		return Windows{KeepAlive: max(to, p.Fallback), Basis: BasisHistogram}
	}
	return Windows{PreWarm: from, KeepAlive: to - from, Basis: BasisHistogram}
}

func (p Hybrid) rare(h *Histogram) Windows {
	shortest, longest, ok := h.period()
	spread := longest - shortest
	switch {
	case !ok:
		return p.fallback(BasisFew)
	case spread*100 > longest*maxPeriodSpread:
		return p.fallback(BasisRare)
	}
	wide := max(spread, minPeriodMargin)
	from := shortest - wide
	return Windows{PreWarm: from, KeepAlive: longest + wide - from, Basis: BasisPeriod}
}

func (p Hybrid) fallback(b Basis) Windows {
	return Windows{KeepAlive: p.Fallback, Basis: b}
}
