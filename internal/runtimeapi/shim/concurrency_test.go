package shim_test

import (
	"fmt"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/language"
)

// TestInvocationsAtATime has three slots and four calls that wait for each other.
func TestInvocationsAtATime(t *testing.T) {
	t.Parallel()
	for family, s := range blocking {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			s.slots = 3
			l := &inLine{t: t, d: start(t, s)}
			for i := range 4 {
				said := l.d.output.await(fmt.Sprintf("begun %d", i))
				l.add(t.Context(), fmt.Sprintf(`{"n":%d}`, i))
				if i < 3 {
					<-l.begun[i]
					<-said
				}
			}
			if l.hasBegun(3) {
				t.Error("a fourth call has begun")
			}
			l.d.goOn()
			for i, end := range l.ends {
				if err := <-end; !strings.HasPrefix(err.Error(), "answer ") {
					t.Errorf("call %d: %v", i, err)
				}
			}
			lines := l.d.output.take()
			for _, line := range lines {
				if n := strings.TrimPrefix(line.RequestID, "line-"); !strings.HasSuffix(string(line.Text), " "+n) {
					t.Errorf("a line of %q: %s", line.RequestID, line.Text)
				}
			}
			if len(lines) != 8 {
				t.Errorf("%d lines, want 8", len(lines))
			}
		})
	}
}

func TestLinesInPartsOfSeveralInvocationsAreKeptApart(t *testing.T) {
	s := pythonFile(`import threading
together = threading.Barrier(2)
def handler(n, context):
    for _ in range(50):
        print("part of", end=" ")
        together.wait()
        print(n)
        together.wait()
    print("unfinished", n, end="")
`)
	s.slots = 2
	l := &inLine{t: t, d: start(t, s)}
	l.add(t.Context(), "0")
	l.add(t.Context(), "1")
	for _, end := range l.ends {
		if err := <-end; err.Error() != "answer null" {
			t.Error(err)
		}
	}
	for _, line := range l.d.output.take() {
		n := strings.TrimPrefix(line.RequestID, "line-")
		if text := string(line.Text); text != "part of "+n && text != "unfinished "+n {
			t.Errorf("a line of %q: %s", line.RequestID, text)
		}
	}
}

func TestUserCodeKnowsThatItIsCalledSeveralTimesAtOnce(t *testing.T) {
	t.Parallel()
	for family, source := range map[language.Family]spec{
		language.Node:   nodeFile(`exports.handler = async () => process.env.AWS_LAMBDA_MAX_CONCURRENCY`),
		language.Python: pythonFile("import os\ndef handler(event, context):\n    return os.environ.get('AWS_LAMBDA_MAX_CONCURRENCY')\n"),
	} {
		for slots, want := range map[int]string{0: "null", 1: "null", 5: `"5"`} {
			s := source
			s.slots = slots
			if got := start(t, s).call(`{}`); got != want {
				t.Errorf("%s with %d at a time: %s, want %s", family, slots, got, want)
			}
		}
	}
}

func TestCallbackDoesNotWaitWhenThereAreSeveral(t *testing.T) {
	s := nodeFile(`exports.handler = (e, c, cb) => { setTimeout(() => {}, 1e6); cb(null, "ok") }`)
	s.slots = 2
	if got := start(t, s).call(`{}`); got != `"ok"` {
		t.Errorf("got %s", got)
	}
}

// TestUncaughtFailureEndsAllInvocations has one invocation that waits and one
// that ends the process.
func TestUncaughtFailureEndsAllInvocations(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		spec     spec
		own      string // what the one who did it gets
		exitCode int
	}{
		"nodejs throws":         {nodeFile(`exports.handler = (e) => new Promise(() => { console.log("begun " + e.n); if (e.n) setTimeout(() => { throw new Error("boom") }, 1) })`), "boom", 129},
		"python exits":          {pythonFile("import sys, time\ndef handler(e, context):\n    print('begun', e['n'])\n    if e['n']:\n        sys.exit(4)\n    time.sleep(1e6)\n"), "", 4},
		"python is interrupted": {pythonFile("import time\ndef handler(e, context):\n    print('begun', e['n'])\n    if e['n']:\n        raise KeyboardInterrupt\n    time.sleep(1e6)\n"), "", 1},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			way.spec.slots = 2
			l := &inLine{t: t, d: start(t, way.spec)}
			said := l.d.output.await("begun 0")
			l.add(t.Context(), `{"n":0}`)
			<-said
			l.add(t.Context(), `{"n":1}`)
			if err := <-l.ends[1]; way.own != "" && !strings.Contains(err.Error(), way.own) || way.own == "" && !isExit(err) {
				t.Errorf("the one who did it: %v, want %s", err, way.own)
			}
			if err := <-l.ends[0]; !isExit(err) {
				t.Errorf("the other: %v, want the end of the runtime", err)
			}
			<-l.d.session.Done()
			if got := l.d.sandbox.process.Exit().Code; got != way.exitCode {
				t.Errorf("exit status %d, want %d", got, way.exitCode)
			}
		})
	}
}
