package main

import (
	"fmt"
	"strings"
	"time"
)

// ample is a node memory that no policy fills.
const ample = 256 << 10

// keepWarm plots what times and fall-back times cost: the lower left is best.
func (e experiment) keepWarm() (*chart, error) {
	times := []string{"2m", "5m", "10m", "20m", "30m", "1h"}
	c := &chart{
		title: "Keeping warm: cold starts against memory",
		x:     axis{name: "memory kept idle, fixed:10m = 1", max: 2},
		y:     axis{name: "cold calls of the median function", max: 1, percent: true},
	}
	for _, kind := range []string{"fixed", "histogram"} {
		var names []string
		for _, t := range times {
			names = append(names, kind+":"+t)
		}
		results, err := e.compare(ample, names...)
		if err != nil {
			return nil, err
		}
		s := series{name: kind, marks: true}
		for i, r := range results {
			s.points = append(s.points, point{r.IdleRelative, r.ColdQuartiles[1], times[i]})
		}
		c.series = append(c.series, s)
	}
	return c, nil
}

// overFunctions plots which share of the functions has at most which share of
// cold calls: the upper left is best.
func (e experiment) overFunctions() (*chart, error) {
	results, err := e.compare(ample, "fixed:10m", "histogram:5m", "fixed:1h")
	if err != nil {
		return nil, err
	}
	c := &chart{
		title: "Functions by their share of cold calls",
		x:     axis{name: "cold calls of a function, at most", max: 1, percent: true},
		y:     axis{name: "share of the functions", max: 1, percent: true},
	}
	for _, r := range results {
		s := series{name: fmt.Sprintf("%s (memory %.2f)", r.Policy, r.IdleRelative)}
		for i, share := range r.ColdShares {
			s.points = append(s.points, point{x: share, y: float64(i+1) / float64(len(r.ColdShares))})
		}
		c.series = append(c.series, s)
	}
	return c, nil
}

// memory plots cold starts where memory is short.
func (e experiment) memory() (*chart, error) {
	names := []string{"fixed:10m", "lru", "greedy-dual", "histogram:5m+greedy-dual"}
	c := &chart{
		title: "When memory is short",
		x:     axis{name: "memory of all nodes, GiB", max: 128},
		y:     axis{name: "cold calls, of all calls", max: 0.05, percent: true},
	}
	for _, name := range names {
		c.series = append(c.series, series{name: name, marks: true})
	}
	for _, gib := range []int{48, 56, 64, 80, 96, 128} {
		results, err := e.compare(gib<<10/nodes, names...)
		if err != nil {
			return nil, err
		}
		for i, r := range results {
			c.series[i].points = append(c.series[i].points, point{x: float64(gib), y: r.ColdShare})
		}
	}
	return c, nil
}

// table is the figures of some policies, in Markdown.
func (e experiment) table() (string, error) {
	results, err := e.compare(ample, "none", "fixed:5m", "fixed:10m", "fixed:20m", "fixed:1h", "histogram:2m", "histogram:5m", "histogram:10m", "greedy-dual")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d calls of %d functions in %.0f hours, with memory for all:\n\n", len(e.trace.Calls), functions, span.Hours())
	b.WriteString("| policy | cold calls | quartiles over functions | memory kept idle | wait p99 | starts |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		q := r.ColdQuartiles
		fmt.Fprintf(&b, "| `%s` | %.2f %% | %.0f, %.0f, %.0f %% | %.2f | %s | %d |\n",
			r.Policy, 100*r.ColdShare, 100*q[0], 100*q[1], 100*q[2], r.IdleRelative, r.AddedP99.Round(time.Millisecond), r.Starts)
	}
	b.WriteString("\n")
	return b.String(), nil
}
