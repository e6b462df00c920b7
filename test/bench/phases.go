package main

import (
	"strconv"
	"strings"
	"time"
)

// phases are those of one call, by name, as its Server-Timing header tells them.
type phases struct {
	cold bool
	of   map[string]time.Duration
}

// phaseNames are the phases of a cold call in their order.
var phaseNames = []string{"queue", "sandbox", "runtime", "load", "init", "handler"}

func parsePhases(header string) phases {
	p := phases{of: map[string]time.Duration{}}
	for metric := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(strings.TrimSpace(metric), ";")
		if name == "cold" {
			p.cold = true
		}
		for parameter := range strings.SplitSeq(parameters, ";") {
			if value, ok := strings.CutPrefix(parameter, "dur="); ok {
				ms, _ := strconv.ParseFloat(value, 64)
				p.of[name] = time.Duration(ms * float64(time.Millisecond))
			}
		}
	}
	return p
}

// bound says that the call's runtime had started before it came.
func (p phases) bound() bool {
	start, told := p.of["runtime"]
	return p.cold && told && start == 0
}

// phaseColumns are the columns of phases, phaseValues the quantile q of each.
func phaseColumns() []Column {
	columns := make([]Column, len(phaseNames))
	for i, name := range phaseNames {
		columns[i] = Column{name, "ms"}
	}
	return columns
}

func phaseValues(into map[string]float64, calls []phases, q float64) {
	for _, name := range phaseNames {
		var list []time.Duration
		for _, c := range calls {
			if d, ok := c.of[name]; ok {
				list = append(list, d)
			}
		}
		if len(list) > 0 {
			into[name] = milliseconds(quantile(list, q))
		}
	}
}
