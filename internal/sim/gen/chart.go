package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
)

// The measures of a plot, in pixels.
const (
	width, height = 720, 440
	left, right   = 64, 24
	top, bottom   = 44, 56
)

// colours are told apart by people who see few of them, too.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

// chart is a plot of lines on two linear axes that begin at zero.
type chart struct {
	title  string
	x, y   axis
	series []series
}

type axis struct {
	name    string
	max     float64
	percent bool
}

type series struct {
	name   string
	points []point
	marks  bool // a dot at each point
}

type point struct {
	x, y  float64
	label string
}

func (c *chart) px(x float64) float64 {
	return left + (width-left-right)*min(x, c.x.max)/c.x.max
}

func (c *chart) py(y float64) float64 {
	return height - bottom - (height-top-bottom)*min(y, c.y.max)/c.y.max
}

// svg draws the chart.
func (c *chart) svg() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n", html.EscapeString(c.title))
	text(&b, width/2, 24, "middle", 15, c.title)
	c.grid(&b)
	for i, s := range c.series {
		c.line(&b, s, colours[i%len(colours)])
	}
	c.legend(&b)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (c *chart) grid(b *bytes.Buffer) {
	for _, v := range c.x.ticks() {
		x := c.px(v)
		fmt.Fprintf(b, `<path d="M%.1f %dV%d" stroke="#ddd"/>`+"\n", x, top, height-bottom)
		text(b, x, height-bottom+18, "middle", 12, c.x.format(v))
	}
	for _, v := range c.y.ticks() {
		y := c.py(v)
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#ddd"/>`+"\n", left, y, width-right)
		text(b, left-8, y+4, "end", 12, c.y.format(v))
	}
	text(b, (left+width-right)/2, height-14, "middle", 13, c.x.name)
	fmt.Fprintf(b, `<text transform="translate(16 %d) rotate(-90)" text-anchor="middle" font-size="13">%s</text>`+"\n", (top+height-bottom)/2, html.EscapeString(c.y.name))
}

func (c *chart) line(b *bytes.Buffer, s series, colour string) {
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colour)
	for _, p := range s.points {
		fmt.Fprintf(b, "%.1f,%.1f ", c.px(p.x), c.py(p.y))
	}
	b.WriteString("\"/>\n")
	for _, p := range s.points {
		if s.marks {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", c.px(p.x), c.py(p.y), colour)
		}
		if p.label != "" {
			text(b, c.px(p.x)+6, c.py(p.y)-6, "start", 11, p.label)
		}
	}
}

// legend stands in the upper right, on white.
func (c *chart) legend(b *bytes.Buffer) {
	const w, line = 240, 20
	x, y := width-right-w-8, top+8
	if c.y.percent && c.x.percent { // a distribution fills the upper part
		y = height - bottom - 8 - line*len(c.series)
	}
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="#fff" stroke="#ccc"/>`+"\n", x, y, w, line*len(c.series)+4)
	for i, s := range c.series {
		at := y + 16 + line*i
		fmt.Fprintf(b, `<path d="M%d %dh20" stroke="%s" stroke-width="2"/>`+"\n", x+8, at-4, colours[i%len(colours)])
		text(b, float64(x+36), float64(at), "start", 12, s.name)
	}
}

func text(b *bytes.Buffer, x, y float64, anchor string, size int, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">%s</text>`+"\n", x, y, anchor, size, html.EscapeString(s))
}

// ticks are round numbers, four to ten of them.
func (a axis) ticks() []float64 {
	step := math.Pow(10, math.Floor(math.Log10(a.max)))
	switch {
	case a.max/step < 2:
		step /= 5
	case a.max/step < 5:
		step /= 2
	}
	var all []float64
	for i := 0; float64(i)*step <= a.max*1.0001; i++ {
		all = append(all, float64(i)*step)
	}
	return all
}

func (a axis) format(v float64) string {
	if a.percent {
		return strconv.FormatFloat(math.Round(1000*v)/10, 'g', -1, 64) + " %"
	}
	return strconv.FormatFloat(math.Round(1000*v)/1000, 'g', -1, 64)
}
