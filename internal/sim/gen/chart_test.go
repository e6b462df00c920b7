package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestChartsAreWellFormedAndInsideTheirFrame(t *testing.T) {
	c := &chart{
		title: "a < b & c", x: axis{name: "x", max: 2}, y: axis{name: "y", max: 0.05, percent: true},
		series: []series{{name: "<s>", marks: true, points: []point{{0, 0, "0"}, {9, 9, "beyond"}}}},
	}
	svg := c.svg()
	for dec := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	// What is beyond an axis is drawn at its end.
	if want := `points="64.0,384.0 696.0,44.0 "`; !strings.Contains(string(svg), want) {
		t.Errorf("the line is not from corner to corner, want %s in\n%s", want, svg)
	}
}

func TestTicksAreFew(t *testing.T) {
	for _, most := range []float64{0.05, 1, 1.5, 2, 9, 128, 4999} {
		ticks := axis{max: most}.ticks()
		if n := len(ticks); n < 4 || n > 11 || ticks[n-1] > most*1.001 {
			t.Errorf("an axis to %g has the ticks %v", most, ticks)
		}
	}
}

func TestReplaceBetweenKeepsTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("before\n<a>\nold\n<b>\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceBetween(path, "<a>\n", "<b>\n", "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := "before\n<a>\nnew\n<b>\nafter\n"; err != nil || string(got) != want {
		t.Errorf("got %q and error %v, want %q", got, err, want)
	}
	if err := replaceBetween(path, "<x>\n", "<b>\n", "new\n"); err == nil {
		t.Error("a page without the line is taken")
	}
}
