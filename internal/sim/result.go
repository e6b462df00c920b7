package sim

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// Result is what a policy cost.
type Result struct {
	Policy string `json:"policy"`
	Calls  int    `json:"calls"`
	// ColdStarts are calls that waited for an environment to start and ran in it.
	ColdStarts int     `json:"coldStarts"`
	ColdShare  float64 `json:"coldShare"`
	// ColdQuartiles are the quartiles, over functions, of the share of a
	// function's calls that were cold.
	ColdQuartiles [3]float64 `json:"coldQuartiles"`
	// IdleMemoryGBs is the memory that idle environments had, in GB times seconds;
	// IdleRelative is that in relation to a fixed keep-alive of ten minutes.
	IdleMemoryGBs float64 `json:"idleMemoryGBs"`
	IdleRelative  float64 `json:"idleRelative"`
	// AddedP50 and AddedP99 are how long calls waited for an environment.
	AddedP50 time.Duration `json:"addedP50Ns"`
	AddedP99 time.Duration `json:"addedP99Ns"`
	// Starts are all environments started, PreWarmed those that no call waited
	// for, Evictions those ended to make room.
	Starts    int `json:"starts"`
	PreWarmed int `json:"preWarmed"`
	Evictions int `json:"evictions"`
	// PeakMemoryMB is the most memory that all environments had at once.
	PeakMemoryMB int `json:"peakMemoryMB"`

	// ColdShares are the shares of cold calls of the functions that were called,
	// in rising order.
	ColdShares []float64 `json:"-"`
}

func (r *Result) relateTo(idle float64) {
	if idle > 0 {
		r.IdleRelative = r.IdleMemoryGBs / idle
	}
}

// close computes what follows from the counts.
func (r *Result) close(functions []function, added *spans) {
	for i := range functions {
		f := &functions[i]
		r.Calls += f.calls
		r.ColdStarts += f.cold
		if f.calls > 0 {
			r.ColdShares = append(r.ColdShares, float64(f.cold)/float64(f.calls))
		}
	}
	if r.Calls > 0 {
		r.ColdShare = float64(r.ColdStarts) / float64(r.Calls)
	}
	slices.Sort(r.ColdShares)
	for i := range r.ColdQuartiles {
		if n := len(r.ColdShares); n > 0 {
			r.ColdQuartiles[i] = r.ColdShares[min(n-1, n*(i+1)/4)]
		}
	}
	r.AddedP50, r.AddedP99 = added.percentile(0.5), added.percentile(0.99)
}

const (
	subBits = 5 // 32 steps for each power of two: 3 % and better
	steps   = 1 << subBits
)

// spans counts durations in steps that grow with them.
type spans struct {
	counts [(64 - subBits + 1) * steps]uint64
	all    uint64
}

func (s *spans) observe(m micros) {
	s.counts[stepOf(uint64(max(0, m)))]++
	s.all++
}

func stepOf(v uint64) int {
	if v < steps {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return (shift+1)*steps + int(v>>shift) - steps
}

// percentile returns the lower edge of the step in which a share is reached.
func (s *spans) percentile(share float64) time.Duration {
	need, sum := uint64(math.Ceil(share*float64(s.all))), uint64(0)
	for i, n := range s.counts {
		if sum += n; n > 0 && sum >= need {
			return fromMicros(edgeOf(i))
		}
	}
	return 0
}

func edgeOf(step int) micros {
	if step < steps {
		return micros(step)
	}
	return micros(step%steps+steps) << (step/steps - 1)
}
