package shim_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

// inLine is calls that were handed to a session one behind the other.
type inLine struct {
	t     *testing.T
	d     *deployed
	begun []chan struct{} // closed when a call may have begun
	ends  []chan error
}

// add calls with a payload and returns when the call is in line; begun of the
// first call is closed by then.
func (l *inLine) add(ctx context.Context, payload string) {
	l.t.Helper()
	begun, end := make(chan struct{}), make(chan error, 1)
	number := len(l.ends)
	id := fmt.Sprintf("line-%d", number)
	go func() {
		r, err := l.d.session.(runtimeapi.Pipeliner).InvokeInLine(ctx, &invocation.Invocation{
			ID: id, Payload: []byte(payload), Deadline: time.Now().Add(time.Millisecond),
		}, sync.OnceFunc(func() { close(begun) }))
		if err == nil && r.FunctionError != "" {
			err = fmt.Errorf("the function failed: %s", r.Payload)
		} else if err == nil {
			err = fmt.Errorf("answer %s", r.Payload)
		}
		end <- err
	}()
	l.begun, l.ends = append(l.begun, begun), append(l.ends, end)
	if number == 0 {
		<-begun
	}
}

func (l *inLine) hasBegun(number int) bool {
	select {
	case <-l.begun[number]:
		return true
	default:
		return false
	}
}

// blocking answers its number, after the file "go" is there; or ends otherwise.
var blocking = map[language.Family]spec{
	language.Node: nodeFile(`const fs = require("fs");
		exports.handler = async (e, context) => {
			const time = context.getRemainingTimeInMillis() > 1000;
			console.log("begun " + e.n);
			while (!fs.existsSync(process.env.LAMBDA_TASK_ROOT + "/go")) await new Promise((r) => setTimeout(r, 2));
			if (e.exit) process.exit(3);
			if (e.throw) await new Promise(() => setTimeout(() => { throw new Error("boom") }));
			console.log("ends " + e.n);
			return { n: e.n, time } }`),
	language.Python: pythonFile(`import os, time
def handler(e, context):
    left = context.get_remaining_time_in_millis() > 1000
    print("begun", e["n"])
    while not os.path.exists(os.environ["LAMBDA_TASK_ROOT"] + "/go"):
        time.sleep(0.002)
    if e.get("exit"):
        os._exit(3)
    print("ends", e["n"])
    return {"n": e["n"], "time": left}
`),
}

func (d *deployed) goOn() { fill(d.t, d.sandbox.HostPath("/var/task"), map[string]string{"go": ""}) }

func TestCallsInLineBeginOneAfterTheOther(t *testing.T) {
	t.Parallel()
	for family, s := range blocking {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			l := &inLine{t: t, d: start(t, s)}
			for i := range 9 {
				l.add(t.Context(), fmt.Sprintf(`{"n":%d}`, i))
			}
			running := 0
			for i := range l.begun {
				if l.hasBegun(i) {
					running++
				}
			}
			if running != 1 {
				t.Errorf("%d calls have begun, want 1", running)
			}
			l.d.goOn()
			for i, end := range l.ends {
				// The deadline that a call came with has passed: those that waited have time
				// from their begin on.
				want := fmt.Sprintf(`answer {"n":%d,"time":%t}`, i, i > 0)
				if got := strings.ReplaceAll((<-end).Error(), ": ", ":"); strings.ReplaceAll(got, ", ", ",") != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if !l.hasBegun(i) {
					t.Errorf("call %d was answered before it had begun", i)
				}
			}
			for _, line := range l.d.output.take() {
				if n := strings.TrimPrefix(line.RequestID, "line-"); !strings.HasSuffix(string(line.Text), " "+n) {
					t.Errorf("a line of %s: %s", line.RequestID, line.Text)
				}
			}
		})
	}
}

// TestCallsThatHaveNotBegunWhenTheRuntimeEnds ends it in every way.
func TestCallsThatHaveNotBegunWhenTheRuntimeEnds(t *testing.T) {
	t.Parallel()
	type way struct {
		first string
		end   func(d *deployed, cancel context.CancelCauseFunc)
		want  string
	}
	ways := map[string]way{
		"exit":     {`{"n":0,"exit":true}`, func(d *deployed, _ context.CancelCauseFunc) { d.goOn() }, "exit status 3"},
		"kill":     {`{"n":0}`, func(d *deployed, _ context.CancelCauseFunc) { _ = d.sandbox.process.Signal(syscall.SIGKILL) }, "killed"},
		"deadline": {`{"n":0}`, func(_ *deployed, cancel context.CancelCauseFunc) { cancel(errors.New("too late")) }, "too late"},
		"close":    {`{"n":0}`, func(d *deployed, _ context.CancelCauseFunc) { _ = d.session.Close() }, ""},
	}
	for family, s := range blocking {
		ways := maps.Clone(ways)
		if family == language.Node {
			ways["fatal"] = way{`{"n":0,"throw":true}`, func(d *deployed, _ context.CancelCauseFunc) { d.goOn() }, "boom"}
		}
		for name, way := range ways {
			t.Run(string(family)+" "+name, func(t *testing.T) {
				t.Parallel()
				l := &inLine{t: t, d: start(t, s)}
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				said := l.d.output.await("begun 0")
				l.add(ctx, way.first)
				<-said
				for i := 1; i < 6; i++ {
					l.add(t.Context(), fmt.Sprintf(`{"n":%d}`, i))
				}
				way.end(l.d, cancel)
				if err := <-l.ends[0]; !strings.Contains(err.Error(), way.want) {
					t.Errorf("the first call: %v, want %s", err, way.want)
				}
				if name == "deadline" { // as the environment does
					if err := l.d.sandbox.Destroy(context.Background()); err != nil {
						t.Error(err)
					}
				}
				for i, end := range l.ends[1:] {
					if err := <-end; !errors.Is(err, runtimeapi.ErrNotBegun) {
						t.Errorf("call %d: %v, want %v", i+1, err, runtimeapi.ErrNotBegun)
					}
					if l.hasBegun(i + 1) {
						t.Errorf("call %d has begun", i+1)
					}
				}
				if text := l.d.output.text(); strings.Count(text, "begun") > 1 {
					t.Errorf("user code saw more than one call:\n%s", text)
				}
			})
		}
	}
}

func TestCallWhoseTimeEndsBeforeItHasBegun(t *testing.T) {
	t.Parallel()
	for family, s := range blocking {
		t.Run(string(family), func(t *testing.T) {
			t.Parallel()
			l := &inLine{t: t, d: start(t, s)}
			said := l.d.output.await("begun 0")
			l.add(t.Context(), `{"n":0}`)
			<-said
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			l.add(ctx, `{"n":1}`)
			if err := <-l.ends[1]; !errors.Is(err, runtimeapi.ErrNotBegun) {
				t.Errorf("the call in line: %v, want %v", err, runtimeapi.ErrNotBegun)
			}
			if err := <-l.ends[0]; !isKilled(err) {
				t.Errorf("the call that ran: %v, want the end of the runtime", err)
			}
			if _, err := l.d.session.(runtimeapi.Pipeliner).InvokeInLine(t.Context(), &invocation.Invocation{ID: "r"}, func() { t.Error("it has begun") }); !errors.Is(err, runtimeapi.ErrNotBegun) {
				t.Errorf("a call after the end: %v, want %v", err, runtimeapi.ErrNotBegun)
			}
		})
	}
}

func isKilled(err error) bool {
	exit, ok := errors.AsType[*runtimeapi.ExitError](err)
	return ok && exit.Exit.Signal == "killed"
}
