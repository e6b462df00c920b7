package main

import (
	"fmt"
	"io"
)

// Goal is a number to reach, with what was measured.
type Goal struct {
	// Name is the short stable name, What the sentence for readers.
	Name string `json:"name"`
	What string `json:"what"`
	// Unit is one that a Column has.
	Unit     string  `json:"unit,omitempty"`
	Measured float64 `json:"measured"`
	// Reach is the number to reach, from above unless AtLeast says from below. A
	// figure that is only to be known has none.
	Reach   *float64 `json:"reach,omitempty"`
	AtLeast bool     `json:"atLeast,omitempty"`
	// Missing says why nothing was measured; Measured is void then.
	Missing string `json:"missing,omitempty"`
	// Note is what a reader has to know.
	Note string `json:"note,omitempty"`
}

// Reached says whether the number was measured and is good enough.
func (g Goal) Reached() bool {
	if g.Missing != "" || g.Reach == nil {
		return false
	}
	if g.AtLeast {
		return g.Measured >= *g.Reach
	}
	return g.Measured <= *g.Reach
}

func (g Goal) markdown(w io.Writer) {
	measured, reach, reached := format(g.Measured, g.Unit), "", ""
	if g.Unit != "" && g.Unit != "×" {
		measured += " " + g.Unit
	}
	if g.Reach != nil {
		reach, reached = "≤ ", "no"
		if g.AtLeast {
			reach = "≥ "
		}
		reach += format(*g.Reach, g.Unit)
		if g.Reached() {
			reached = "**yes**"
		}
	}
	if g.Missing != "" {
		measured, reached = "not measured: "+g.Missing, ""
	}
	what := g.What
	if g.Note != "" {
		what += " (" + g.Note + ")"
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s |\n", what, measured, reach, reached)
}

// goalsMarkdown writes the table of the goals.
func goalsMarkdown(w io.Writer, goals []Goal) {
	if len(goals) == 0 {
		return
	}
	fmt.Fprint(w, "\nNumbers to reach\n\n| what | measured | to reach | reached |\n| --- | ---: | ---: | --- |\n")
	for _, g := range goals {
		g.markdown(w)
	}
}

// atMost and atLeast note a measured number to reach.
func (b *bench) atMost(name, what, unit string, measured, reach float64) *Goal {
	return b.goal(Goal{Name: name, What: what, Unit: unit, Measured: measured, Reach: &reach})
}

func (b *bench) atLeast(name, what, unit string, measured, reach float64) *Goal {
	return b.goal(Goal{Name: name, What: what, Unit: unit, Measured: measured, Reach: &reach, AtLeast: true})
}

// known notes a number that has only to be known.
func (b *bench) known(name, what, unit string, measured float64) *Goal {
	return b.goal(Goal{Name: name, What: what, Unit: unit, Measured: measured})
}

// goal returns the noted goal, for its Note and Missing, until the next one.
func (b *bench) goal(g Goal) *Goal {
	b.goals = append(b.goals, g)
	return &b.goals[len(b.goals)-1]
}
