package sim

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/fault"
)

func TestGeneratedTracesAreAsPublished(t *testing.T) {
	trace, err := Generator{Functions: 300, Span: day, Seed: 3}.Generate()
	if err != nil {
		t.Fatal(err)
	}
	calls := make([]int, len(trace.Functions))
	for _, c := range trace.Calls {
		calls[c.Function()]++
	}
	slices.Sort(calls)
	rare, top := 0, 0
	for i, n := range calls {
		if n < 24 {
			rare++
		}
		if i >= len(calls)*8/10 {
			top += n
		}
	}
	if share := float64(rare) / float64(len(calls)); share < 0.4 || share > 0.6 {
		t.Errorf("%.0f %% of the functions are called less than once an hour, want about half", 100*share)
	}
	if share := float64(top) / float64(len(trace.Calls)); share < 0.8 {
		t.Errorf("a fifth of the functions makes %.0f %% of the calls, want 80 at least", 100*share)
	}
	for _, f := range trace.Functions {
		if f.MemoryMB < 128 || f.MemoryMB > 1024 || f.Start <= 0 {
			t.Errorf("got %+v", f)
		}
	}
	if !slices.IsSortedFunc(trace.Calls, func(a, b Call) int { return int(a.at - b.at) }) {
		t.Error("the calls are not in order")
	}
	if last := trace.Calls[len(trace.Calls)-1].At(); last >= trace.Span {
		t.Errorf("the last call is at %s, after the span of %s", last, trace.Span)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for name, g := range map[string]Generator{
		"no functions": {Span: day},
		"too many":     {Functions: maxFunctions + 1, Span: day},
		"no time":      {Functions: 1},
		"too long":     {Functions: 1, Span: 2 * maxSpan},
	} {
		if _, err := g.Generate(); !fault.Is(err, fault.Invalid, "") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	if _, err := (Generator{Functions: maxFunctions, Span: maxSpan}).Generate(); !fault.Is(err, fault.TooLarge, "Trace") {
		t.Errorf("a year of all functions: got error %v", err)
	}
}

func TestReadLines(t *testing.T) {
	trace, err := ReadTrace(strings.NewReader(`{"t": 90.5, "function": "b"}

{"t": 0, "function": "a", "duration": 0.02, "memoryMB": 512, "start": 0.8}
{"t": 3, "function": "a", "duration": 2, "memoryMB": 64}
`), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := &Trace{
		Functions: []Function{{"b", defaultMemoryMB, defaultStart}, {"a", 512, 800 * time.Millisecond}},
		Calls: []Call{
			newCall(0, 1, 20*time.Millisecond), newCall(3*time.Second, 1, 2*time.Second), newCall(90500*time.Millisecond, 0, defaultCallTime),
		},
		Span: 91500 * time.Millisecond,
	}
	if diff := cmp.Diff(want, trace, cmp.AllowUnexported(Call{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func azureHeader(minutes int) string {
	columns := []string{"HashOwner", "HashApp", "HashFunction", "Trigger"}
	for m := range minutes {
		columns = append(columns, strconv.Itoa(m+1))
	}
	return strings.Join(columns, ",") + "\n"
}

func TestReadAzure(t *testing.T) {
	text := azureHeader(20) + "o,a,timer,timer,1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1,0,0,0,0\n" + "o,a,web,http" + strings.Repeat(",3", 20) + "\n"
	trace, err := ReadTrace(strings.NewReader(text), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(trace.Functions) != 2 || trace.Functions[0].Name != "timer" || len(trace.Calls) != 64 || trace.Span != 20*time.Minute {
		t.Fatalf("got functions %+v, %d calls in %s; want 2, 64 in 20m", trace.Functions, len(trace.Calls), trace.Span)
	}
	var timer []time.Duration
	for _, c := range trace.Calls {
		if c.Function() == 0 {
			timer = append(timer, c.At())
		}
	}
	for i := range timer[1:] {
		if gap := timer[i+1] - timer[i]; gap.Round(time.Millisecond) != 5*time.Minute {
			t.Errorf("a timer of 5 minutes has a gap of %s", gap)
		}
	}
	again, err := ReadAzure(strings.NewReader(text), 1)
	if err != nil || !cmp.Equal(trace, again, cmp.AllowUnexported(Call{})) {
		t.Errorf("the same file and seed are another trace (error %v)", err)
	}
}

func TestReadTraceSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1: it is empty"},
		{"some other table", "a,b,c\n1,2,3\n", "line 1: its columns"},
		{"a count that is none", azureHeader(2) + "o,a,f,http,1,many\n", "line 2: minute 2"},
		{"a negative count", azureHeader(2) + "o,a,f,http,-1,0\n", "line 2: minute 1"},
		{"a short row", azureHeader(2) + "o,a,f,http,1\n", "line 2: the line"},
		{"more calls than fit", azureHeader(1) + "o,a,f,http,100000001\n", "more than"},
		{"no object", "{\"t\": 1, \"function\": \"a\"}\n[]\n", "line 2: it is no JSON object"},
		{"no time", `{"function": "a"}`, "line 1: t must be"},
		{"a time before the begin", `{"t": -1, "function": "a"}`, "line 1: t must be"},
		{"no function", `{"t": 1}`, "line 1: function is missing"},
		{"a negative duration", `{"t": 1, "function": "a", "duration": -1}`, "line 1: duration"},
		{"memory", `{"t": 1, "function": "a", "memoryMB": -1}`, "line 1: memoryMB"},
		{"start", `{"t": 1, "function": "a", "start": 1e9}`, "line 1: start"},
		{"a line without end", "{" + strings.Repeat(" ", maxLine), "line 1: the line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadTrace(strings.NewReader(c.text), 1)
			if err == nil || !strings.Contains(fault.From(err).Detail, c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
		})
	}
}

// checkTrace reports what no trace may have.
func checkTrace(t *testing.T, trace *Trace) {
	t.Helper()
	last := micros(0)
	for _, c := range trace.Calls {
		if c.at < last || c.Function() >= len(trace.Functions) || c.Length() < 0 || c.At() > trace.Span {
			t.Fatalf("got call %+v after %d of %d functions in %s", c, last, len(trace.Functions), trace.Span)
		}
		last = c.at
	}
	for _, f := range trace.Functions {
		if f.MemoryMB < 1 || f.Start < 0 {
			t.Fatalf("got function %+v", f)
		}
	}
}

func FuzzReadLines(f *testing.F) {
	f.Add("{\"t\": 90.5, \"function\": \"b\"}\n\n{\"t\": 0, \"function\": \"a\", \"duration\": 0.02, \"memoryMB\": 512, \"start\": 0.8}")
	f.Add(`{"t": 1e300, "function": "b"}`)
	f.Add(`{"t": 0, "function": "b", "start": 1e-300}`)
	f.Add(`{"t":31622400,"function":"b","duration":3600}`)
	f.Fuzz(func(t *testing.T, text string) {
		if trace, err := ReadLines(strings.NewReader(text)); err == nil {
			checkTrace(t, trace)
		}
	})
}

func FuzzReadAzure(f *testing.F) {
	f.Add(azureHeader(3)+"o,a,f,http,1,0,2\n", uint64(1))
	f.Add(azureHeader(1)+"\"o\",a,\"f\n\",http,99\n", uint64(0))
	f.Add("HashOwner,HashApp,HashFunction,Trigger,1\n,,,,1000\n", uint64(1<<63))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		if strings.Contains(text, "000") || len(text) > 1<<12 {
			return // millions of calls are valid, but take their time
		}
		if trace, err := ReadAzure(strings.NewReader(text), seed); err == nil {
			checkTrace(t, trace)
		}
	})
}
