package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

const day = 24 * time.Hour

// Generator makes traces with the characteristics that were published of the
// functions of a large cloud ("Serverless in the Wild", USENIX ATC 2020): half of
// them are called less than once an hour and few make nearly all calls; a third
// is called periodically, others at random or in bursts, more by day than by
// night; durations are log-normal.
type Generator struct {
	Functions int
	Span      time.Duration
	Seed      uint64
}

// popularity is how many calls a day a share of the functions has at most. It is
// steep, as power laws are; between the points the logarithm is linear.
var popularity = []struct{ share, daily float64 }{
	{0, 0.5}, {0.25, 4}, {0.5, 23}, {0.8, 1440}, {0.95, 10_000}, {0.99, 40_000}, {1, 300_000},
}

// periods are what schedulers are set to.
var periods = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 20 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 8 * time.Hour, 12 * time.Hour, day,
}

// Generate makes the trace.
func (g Generator) Generate() (*Trace, error) {
	switch {
	case g.Functions < 1 || g.Functions > maxFunctions:
		return nil, fault.New(fault.Invalid, "Functions", "%d functions are out of range: use 1 to %d", g.Functions, maxFunctions)
	case g.Span < time.Minute || g.Span > maxSpan:
		return nil, fault.New(fault.Invalid, "Duration", "a duration of %s is out of range: use %s to %s", g.Span, time.Minute, maxSpan)
	}
	t := &Trace{Span: g.Span, Functions: make([]Function, g.Functions)}
	all, expected := make([]*arrivals, g.Functions), 0.0
	for i := range all {
		all[i] = g.arrivals(i)
		t.Functions[i] = all[i].function
		expected += all[i].daily * float64(g.Span) / float64(day)
	}
	if expected > maxCalls {
		return nil, tooManyCalls()
	}
	for i, a := range all {
		a.run(func(at time.Duration) {
			t.Calls = append(t.Calls, newCall(at, i, a.length()))
		})
	}
	t.sort()
	return t, nil
}

// arrivals draws the calls of one function. What it draws depends on the seed
// and the function's number alone.
type arrivals struct {
	*rand.Rand

	function Function
	span     time.Duration
	daily    float64       // calls a day
	median   time.Duration // of a call's length
	swing    float64       // of the day: 0 is none, 1 is to nothing at night
	noon     time.Duration // when it is busiest
}

func (g Generator) arrivals(i int) *arrivals {
	//nolint:gosec // a simulation needs numbers that a seed repeats, not secret ones
	a := &arrivals{Rand: rand.New(rand.NewPCG(g.Seed, uint64(i))), span: g.Span}
	daily := quantile((float64(i) + a.Float64()) / float64(g.Functions))
	a.function = Function{
		Name:     fmt.Sprintf("f%d", i+1),
		MemoryMB: a.memory(),
		Start:    a.logNormal(defaultStart, 0.6, 10*time.Millisecond, 10*time.Second),
	}
	a.median = a.logNormal(680*time.Millisecond, 2.36, time.Millisecond, time.Minute)
	a.swing = 0.8 * a.Float64()
	a.noon = time.Duration(a.Float64() * float64(day))
	a.limit(daily)
	return a
}

// limit sets the rate of calls. What is called often is short: nobody runs dozens
// of calls of one function at once for a whole day.
func (a *arrivals) limit(daily float64) {
	a.daily = daily
	a.median = min(a.median, time.Duration(10*float64(day)/max(1, daily)))
}

func quantile(share float64) float64 {
	for k := 1; k < len(popularity); k++ {
		low, high := popularity[k-1], popularity[k]
		if share <= high.share {
			x := (share - low.share) / (high.share - low.share)
			return low.daily * math.Pow(high.daily/low.daily, x)
		}
	}
	return popularity[len(popularity)-1].daily
}

func (a *arrivals) memory() int {
	switch x := a.Float64(); {
	case x < 0.45:
		return 128
	case x < 0.75:
		return 256
	case x < 0.92:
		return 512
	default:
		return 1024
	}
}

func (a *arrivals) logNormal(median time.Duration, sigma float64, low, high time.Duration) time.Duration {
	x := float64(median) * math.Exp(sigma*a.NormFloat64())
	return time.Duration(min(max(x, float64(low)), float64(max(low, high))))
}

// length draws how long one call runs.
func (a *arrivals) length() time.Duration {
	return a.logNormal(a.median, 0.4, time.Millisecond, 10*a.median)
}

// run draws the function's habit and emits its calls.
func (a *arrivals) run(emit func(at time.Duration)) {
	switch x := a.Float64(); {
	case x < 0.3 && a.daily <= 1440: // schedulers count in minutes
		a.periodic(emit)
	case x < 0.75:
		a.random(a.daily, emit)
	default:
		size := 2 + a.ExpFloat64()*8
		a.random(a.daily/size, func(at time.Duration) { a.burst(at, size, emit) })
	}
}

// periodic emits calls of a scheduler, which are late by some tenths of a second.
func (a *arrivals) periodic(emit func(at time.Duration)) {
	period := periods[0]
	for _, p := range periods {
		if a.daily*float64(p) <= 1.5*float64(day) {
			period = p
		}
	}
	for at := time.Duration(a.Float64() * float64(period)); at < a.span; at += period {
		if late := at + time.Duration(a.ExpFloat64()*float64(200*time.Millisecond)); late < a.span {
			emit(late)
		}
	}
}

// random emits calls at random moments, more of them around noon: those of a
// higher rate are thinned out.
func (a *arrivals) random(daily float64, emit func(at time.Duration)) {
	gap := float64(day) / daily / (1 + a.swing)
	for at := a.ExpFloat64() * gap; at < float64(a.span); at += a.ExpFloat64() * gap {
		phase := 2 * math.Pi * (at - float64(a.noon)) / float64(day)
		if a.Float64()*(1+a.swing) <= 1+a.swing*math.Cos(phase) {
			emit(time.Duration(at))
		}
	}
}

// burst emits some calls that follow each other within a second or so.
func (a *arrivals) burst(at time.Duration, size float64, emit func(at time.Duration)) {
	for range 1 + int(a.ExpFloat64()*(size-1)+0.5) {
		if at >= a.span {
			return
		}
		emit(at)
		at += time.Duration(a.ExpFloat64() * float64(time.Second))
	}
}
