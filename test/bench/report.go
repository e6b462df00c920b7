package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Report is what one run found.
type Report struct {
	Machine Machine  `json:"machine"`
	Quick   bool     `json:"quick"`
	Tables  []*Table `json:"tables"`
	Goals   []Goal   `json:"goals"`
}

// Table is the outcome of one section.
type Table struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Columns []Column `json:"columns"`
	Rows    []Row    `json:"rows"`
}

// Column names a figure and its unit: ms, µs, /s, MB, × (a ratio) or nothing.
type Column struct {
	Name string `json:"name"`
	Unit string `json:"unit,omitempty"`
}

// Row holds the figures of one thing that was measured, by column name. Those that
// make no sense for it are left out.
type Row struct {
	Name   string             `json:"name"`
	Values map[string]float64 `json:"values"`
}

func (t *Table) row(name string, values map[string]float64) {
	t.Rows = append(t.Rows, Row{Name: name, Values: values})
}

// markdown writes the table, unless it has no row.
func (t *Table) markdown(w io.Writer) {
	if len(t.Rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n\n| |", t.Title)
	for _, c := range t.Columns {
		name := c.Name
		if c.Unit != "" && c.Unit != "×" {
			name += ", " + c.Unit
		}
		fmt.Fprintf(w, " %s |", name)
	}
	fmt.Fprintf(w, "\n| --- |%s\n", strings.Repeat(" ---: |", len(t.Columns)))
	for _, r := range t.Rows {
		fmt.Fprintf(w, "| %s |", r.Name)
		for _, c := range t.Columns {
			text := ""
			if v, ok := r.Values[c.Name]; ok {
				text = format(v, c.Unit)
			}
			fmt.Fprintf(w, " %s |", text)
		}
		fmt.Fprintln(w)
	}
}

func format(v float64, unit string) string {
	switch unit {
	case "µs":
		digits := 0
		if math.Abs(v) < 20 { // as the numbers to reach are
			digits = 1
		}
		return strconv.FormatFloat(v, 'f', digits, 64)
	case "ms", "MB":
		digits := 2
		if math.Abs(v) >= 100 {
			digits = 0
		} else if math.Abs(v) >= 10 {
			digits = 1
		}
		return strconv.FormatFloat(v, 'f', digits, 64)
	case "×":
		return strconv.FormatFloat(v, 'f', 2, 64) + " ×"
	default:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
}
