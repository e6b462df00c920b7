package main

import (
	"strings"
	"testing"
	"time"
)

func TestTableIsMarkdown(t *testing.T) {
	table := &Table{Title: "Things", Columns: []Column{{"call", "ms"}, {"ratio", "×"}, {"rate", "/s"}}}
	table.row("one", map[string]float64{"call": 3.14159, "ratio": 0.5, "rate": 1234.4})
	table.row("two", map[string]float64{"call": 314.159})
	var b strings.Builder
	table.markdown(&b)
	const want = "\nThings\n\n| | call, ms | ratio | rate, /s |\n| --- | ---: | ---: | ---: |\n" +
		"| one | 3.14 | 0.50 × | 1234 |\n| two | 314 |  |  |\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestQuantiles(t *testing.T) {
	times := []time.Duration{5, 1, 4, 2, 3}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := quantile(times, q); got != want {
			t.Errorf("quantile %v = %d, want %d", q, got, want)
		}
	}
	if got := median(nil); got != 0 {
		t.Errorf("median of nothing = %d", got)
	}
}

func TestUnknownSectionIsNamed(t *testing.T) {
	if _, err := choose("cold,colder"); err == nil || !strings.Contains(err.Error(), `"colder"`) {
		t.Errorf("got %v", err)
	}
	if s, err := choose("warm, cold"); err != nil || len(s) != 2 || s[0].name != "warm" {
		t.Errorf("got %v, %v", s, err)
	}
}
