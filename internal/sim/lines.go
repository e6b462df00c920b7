package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"time"
)

// maxLine bounds a line of a trace.
const maxLine = 64 << 10

// line is one call in a trace of JSON lines.
type line struct {
	// T is when the call comes, in seconds from any begin.
	T *float64 `json:"t"`
	// Function is its name.
	Function string `json:"function"`
	// Duration is how long it runs, in seconds.
	Duration *float64 `json:"duration"`
	// MemoryMB and Start (in seconds) are the function's, from the first line that
	// names it.
	MemoryMB int     `json:"memoryMB"`
	Start    float64 `json:"start"`
}

// ReadTrace reads a trace of JSON lines or of calls per minute, whichever it is: see
// [ReadLines] and [ReadAzure].
func ReadTrace(r io.Reader, seed uint64) (*Trace, error) {
	in := bufio.NewReader(r)
	first, err := in.Peek(1)
	if err != nil {
		return nil, badTrace(1, "it is empty or can't be read", err)
	}
	if first[0] == '{' {
		return ReadLines(in)
	}
	return ReadAzure(in, seed)
}

// ReadLines reads a trace of JSON lines, one object for each call in any order:
//
//	{"t": 12.5, "function": "hello", "duration": 0.02}
//
// t and duration are in seconds; a missing duration is 0.1. The function's memory
// and the seconds that its environments take to start may be given in the first
// line that names it: "memoryMB": 512, "start": 0.8. Empty lines are skipped.
func ReadLines(r io.Reader) (*Trace, error) {
	b := builder{index: map[string]int{}}
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	n := 0
	for in.Scan() {
		n++
		if text := bytes.TrimSpace(in.Bytes()); len(text) > 0 {
			if err := b.add(text, n); err != nil {
				return nil, err
			}
		}
	}
	if err := in.Err(); err != nil {
		return nil, badTrace(n+1, "the line can't be read", err)
	}
	if len(b.Calls) == 0 {
		return nil, badTrace(n, "it has no calls", nil)
	}
	b.sort()
	b.Span = max(time.Minute, b.Calls[len(b.Calls)-1].At()+time.Second)
	return &b.Trace, nil
}

type builder struct {
	Trace

	index map[string]int
}

func (b *builder) add(text []byte, n int) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return badTrace(n, "it is no JSON object of a call", err)
	}
	length := defaultCallTime.Seconds()
	if l.Duration != nil {
		length = *l.Duration
	}
	switch {
	case l.T == nil || *l.T < 0 || *l.T > maxSpan.Seconds():
		return badTrace(n, "t must be seconds, 0 to one year", nil)
	case l.Function == "":
		return badTrace(n, "function is missing", nil)
	case length < 0 || length > maxCallTime.Seconds():
		return badTrace(n, "duration must be seconds, 0 to 3600", nil)
	case l.MemoryMB < 0 || l.MemoryMB > maxNodeMemory:
		return badTrace(n, "memoryMB is out of range", nil)
	case l.Start < 0 || l.Start > maxCallTime.Seconds():
		return badTrace(n, "start must be seconds, 0 to 3600", nil)
	case len(b.Calls) >= maxCalls:
		return tooManyCalls()
	}
	i, ok := b.index[l.Function]
	if !ok {
		if i = len(b.Functions); i >= maxFunctions {
			return tooManyFunctions()
		}
		b.index[l.Function] = i
		b.Functions = append(b.Functions, Function{Name: l.Function, MemoryMB: defaultMemoryMB, Start: defaultStart})
		if l.MemoryMB > 0 {
			b.Functions[i].MemoryMB = l.MemoryMB
		}
		if l.Start > 0 {
			b.Functions[i].Start = seconds(l.Start)
		}
	}
	b.Calls = append(b.Calls, newCall(seconds(*l.T), i, seconds(length)))
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
