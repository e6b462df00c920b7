package language

import (
	"cmp"
	"strconv"
	"strings"
)

// release is a version number: major, minor, patch.
type release [3]int

// parseRelease reads "20.20.2", "3.11" or "3.15.0rc1". What it can't read is 0.
func parseRelease(s string) release {
	var r release
	for i, part := range strings.SplitN(strings.TrimPrefix(s, "v"), ".", len(r)) {
		end := strings.IndexFunc(part, func(c rune) bool { return c < '0' || c > '9' })
		if end >= 0 {
			part = part[:end]
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			return r
		}
		r[i] = n
	}
	return r
}

func (r release) compare(o release) int {
	return cmp.Or(cmp.Compare(r[0], o[0]), cmp.Compare(r[1], o[1]), cmp.Compare(r[2], o[2]))
}

// line returns the part of r that a runtime identifier names: the major version
// of Node.js, major and minor of Python.
func (r release) line(f Family) release {
	if f == Node {
		return release{r[0]}
	}
	return release{r[0], r[1]}
}

// identifier returns the runtime identifier of r's line.
func (r release) identifier(f Family) string {
	if f == Node {
		return string(f) + strconv.Itoa(r[0]) + ".x"
	}
	return string(f) + strconv.Itoa(r[0]) + "." + strconv.Itoa(r[1])
}
