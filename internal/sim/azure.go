package sim

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

const (
	azureHead    = 4 // HashOwner, HashApp, HashFunction, Trigger
	azureMinutes = 24 * 60
)

// ReadAzure reads a file of calls per minute as those of the Azure Functions
// traces of 2019 (github.com/Azure/AzurePublicDataset): comma-separated, with the
// columns HashOwner, HashApp, HashFunction, Trigger and 1 to 1440, one for each
// minute of a day; fewer minutes are fine.
//
// Such a file has neither memory nor durations nor moments. Memory, starts and
// durations are drawn as a [Generator] with this seed draws them. The calls of a
// minute are spread evenly in it, shifted by a part of a minute that is the
// function's own, so that a call each ten minutes stays exactly that.
func ReadAzure(r io.Reader, seed uint64) (*Trace, error) {
	rows := csv.NewReader(r)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return nil, badTrace(1, "it has no header", err)
	}
	minutes := len(header) - azureHead
	if minutes < 1 || minutes > azureMinutes || header[azureHead-1] != "Trigger" || header[azureHead] != "1" {
		return nil, badTrace(1, "its columns must be HashOwner, HashApp, HashFunction, Trigger and 1 to 1440", nil)
	}
	t := &Trace{Span: time.Duration(minutes) * time.Minute}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, badTrace(bad.Line, "the line can't be read", bad.Err)
		}
		if err != nil {
			return nil, fmt.Errorf("read the trace: %w", err)
		}
		line, _ := rows.FieldPos(0)
		if err := t.addAzure(row, line, seed); err != nil {
			return nil, err
		}
	}
	t.sort()
	return t, nil
}

func (t *Trace) addAzure(row []string, line int, seed uint64) error {
	i := len(t.Functions)
	if i >= maxFunctions {
		return tooManyFunctions()
	}
	counts, daily := make([]int, len(row)-azureHead), 0
	for m, text := range row[azureHead:] {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return badTrace(line, "minute "+strconv.Itoa(m+1)+" has no number of calls", err)
		}
		if daily += n; n > maxCalls || daily > maxCalls-len(t.Calls) {
			return tooManyCalls()
		}
		counts[m] = n
	}
	a := Generator{Functions: 1, Span: t.Span, Seed: seed}.arrivals(i)
	a.limit(float64(daily) * float64(day) / float64(t.Span))
	a.function.Name = row[2]
	t.Functions = append(t.Functions, a.function)
	phase := a.Float64()
	for m, n := range counts {
		for k := range n {
			at := (float64(m) + (float64(k)+phase)/float64(n)) * float64(time.Minute)
			t.Calls = append(t.Calls, newCall(time.Duration(at), i, a.length()))
		}
	}
	return nil
}

// badTrace says what is wrong with a trace; err is why, nil if what says it all.
func badTrace(line int, what string, err error) error {
	if err != nil {
		what += ": " + err.Error()
	}
	return fault.Wrap(err, fault.Invalid, "Trace", "the trace is not valid in line %d: %s", line, what)
}
