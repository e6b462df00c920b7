package shim_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

// exits invokes and checks that the runtime ended without an answer.
func exits(t *testing.T, d *deployed, code int, signal string) {
	t.Helper()
	r, err := d.try(`{}`)
	exit, ok := errors.AsType[*runtimeapi.ExitError](err)
	if !ok {
		t.Fatalf("Invoke: %+v, %v, want an exit error", r, err)
	}
	if exit.Exit.Code != code || exit.Exit.Signal != signal {
		t.Errorf("exit %+v, want %d %q", exit.Exit, code, signal)
	}
	select {
	case <-d.session.Done():
	default:
		t.Error("Done is open after an exit error")
	}
}

func TestExitsAreSeen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		spec   spec
		code   int
		signal string
	}{
		{"node process.exit", nodeFile(`exports.handler = () => { console.log("last words"); process.exit(3) }`), 3, ""},
		{"node exit 0", nodeFile(`exports.handler = async () => { console.log("last words"); process.exit(0) }`), 0, ""},
		{"node abort", nodeFile(`exports.handler = () => { console.log("last words"); process.kill(process.pid, "SIGKILL"); for (;;); }`), -1, "killed"},
		{"python sys.exit", pythonFile("import sys\ndef handler(event, context):\n    print('last words')\n    sys.exit(3)\n"), 3, ""},
		{"python os._exit", pythonFile("import os\ndef handler(event, context):\n    print('last words')\n    os._exit(5)\n"), 5, ""},
		{
			"python segmentation fault",
			pythonFile("import os, signal\ndef handler(event, context):\n    print('last words', end='', flush=True)\n    os.write(2, b'raw')\n    print()\n    os.kill(os.getpid(), signal.SIGSEGV)\n"),
			-1, "segmentation fault",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := start(t, tt.spec)
			exits(t, d, tt.code, tt.signal)
			if text := d.output.text(); !strings.Contains(text, "stdout request-1") || !strings.Contains(text, "last words\n") {
				t.Errorf("the last output is missing: %q", text)
			}
		})
	}
}

func TestExitDuringInitIsSeen(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]spec{
		"node":   nodeFile(`process.stdout.write("last words"); process.exit(7)`),
		"python": pythonFile("import os\nos.write(1, b'last words')\nos._exit(7)"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, s)
			err := d.ready()
			if exit, ok := errors.AsType[*runtimeapi.ExitError](err); !ok || exit.Exit.Code != 7 {
				t.Errorf("Ready: %v, want exit 7", err)
			}
			if got := d.output.text(); got != "stdout  last words\n" {
				t.Errorf("output %q", got)
			}
		})
	}
}

func TestInterpreterThatIsMissing(t *testing.T) {
	a := newAdapter(t)
	in := language.Interpreter{Family: language.Node, Path: "/nowhere/node"}
	v := &function.Version{Settings: function.Settings{Handler: "index.handler"}}
	_, err := a.Launch(t.Context(), newSandbox(t, a.Mounts(in), t.TempDir()), runtimeapi.Launch{Version: v, Interpreter: in, Output: func(runtimeapi.Line) {}})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/node") {
		t.Errorf("Launch: %v", err)
	}
}

func TestLargePayloadsPassByteForByte(t *testing.T) {
	t.Parallel()
	const piece = "0123456789abcdeü"
	event := `"` + strings.Repeat(piece, (invocation.MaxRequestBytes-2)/len(piece)) + `"`
	for name, s := range map[string]spec{
		"node":   nodeFile(`exports.handler = async (event) => event`),
		"python": pythonFile("def handler(event, context):\n    return event\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, s)
			for range 3 {
				if got := d.call(event); got != event {
					t.Fatalf("%d bytes came back, want %d and the same", len(got), len(event))
				}
				d.call(`{}`)
			}
		})
	}
}

func TestAnswerThatIsTooLarge(t *testing.T) {
	t.Parallel()
	const limit = invocation.MaxResponseBytes
	for name, s := range map[string]spec{
		"node":   nodeFile(`exports.handler = async (n) => "x".repeat(n)`),
		"python": pythonFile("def handler(event, context):\n    return 'x' * event\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, s)
			if got := d.call(strconv.Itoa(limit - 2)); len(got) != limit {
				t.Errorf("%d bytes came back, want %d", len(got), limit)
			}
			f := d.fail(strconv.Itoa(limit - 1))
			want := "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
			if f.ErrorType != "Function.ResponseSizeTooLarge" || f.ErrorMessage != want {
				t.Errorf("got %s: %s, want %s", f.ErrorType, f.ErrorMessage, want)
			}
			if got := d.call(`1`); got != `"x"` {
				t.Errorf("the next call answered %s", got)
			}
		})
	}
}

func TestErrorThatIsTooLarge(t *testing.T) {
	d := start(t, nodeFile(`exports.handler = async () => { throw new Error("x".repeat(7e6)) }`))
	if f := d.fail(`{}`); f.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("got %s", f.ErrorType)
	}
}

func TestLongLinesAreBounded(t *testing.T) {
	t.Parallel()
	const line = 256 << 10
	tests := map[string]struct {
		spec spec
		want int
	}{
		"node console is cut":   {nodeFile(`exports.handler = async () => { console.log("ü".repeat(3e5)) }`), 1},
		"node stdout is split":  {nodeFile(`exports.handler = async () => { process.stdout.write("x".repeat(6e5)) }`), 3},
		"python print is split": {pythonFile("def handler(event, context):\n    print('x' * 600000)\n"), 3},
		"python log is cut":     {pythonFile("import logging\ndef handler(event, context):\n    logging.error('\\u00fc' * 300000)\n"), 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, tt.spec)
			d.call(`{}`)
			lines := d.output.take()
			if len(lines) != tt.want {
				t.Errorf("%d lines, want %d", len(lines), tt.want)
			}
			for _, l := range lines {
				if len(l.Text) > line || len(l.Text) == 0 || strings.ToValidUTF8(string(l.Text), "") != string(l.Text) {
					t.Errorf("a line of %d bytes", len(l.Text))
				}
			}
		})
	}
}

// TestOutputComesBeforeTheAnswer is the contract of Session.Invoke.
func TestOutputComesBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]spec{
		"node": nodeFile(`exports.handler = async (n) => {
			for (let i = 0; i < 20; i++) { console.log(i); process.stdout.write("raw\n"); process.stderr.write("raw\n") } }`),
		"python": pythonFile("import os\ndef handler(event, context):\n    for i in range(20):\n        print(i)\n        os.write(1, b'raw\\n')\n        os.write(2, b'raw\\n')\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, s)
			for range 50 {
				d.call(`1`)
				lines := d.output.take()
				if len(lines) != 60 {
					t.Fatalf("%d lines when Invoke returned, want 60", len(lines))
				}
				for _, l := range lines {
					if want := fmt.Sprintf("request-%d", d.calls); l.RequestID != want {
						t.Fatalf("a line of %s, want %s: %s", l.RequestID, want, l.Text)
					}
				}
			}
		})
	}
}

func TestDeadlineEndsTheWait(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]spec{
		"node":   nodeFile(`exports.handler = () => { process.stdout.write("so far"); console.log("begun"); for (;;); }`),
		"python": pythonFile("import os\ndef handler(event, context):\n    os.write(1, b'so far')\n    print('begun')\n    while True: pass\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, s)
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("deadline")
			begun := d.output.await("begun")
			wait := make(chan error, 1)
			go func() {
				_, err := d.session.Invoke(ctx, &invocation.Invocation{ID: "r", Payload: []byte(`{}`)})
				wait <- err
			}()
			<-begun
			cancel(cause)
			if err := <-wait; !errors.Is(err, cause) {
				t.Errorf("Invoke: %v, want %v", err, cause)
			}
			if got, want := d.output.text(), "stdout r so far\n"; !strings.Contains(got, want) {
				t.Errorf("output %q, want it to have %q", got, want)
			}
		})
	}
}

func TestWriteToARuntimeThatDoesNotReadEnds(t *testing.T) {
	d := start(t, nodeFile(`exports.handler = () => { for (;;); }`))
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("deadline")
	payload := []byte(`"` + strings.Repeat("x", 6<<20-2) + `"`)
	var calls sync.WaitGroup
	for range 3 { // more than the socket holds
		calls.Go(func() {
			_, err := d.session.Invoke(ctx, &invocation.Invocation{ID: "r", Payload: payload})
			if !errors.Is(err, cause) {
				t.Errorf("Invoke: %v, want %v", err, cause)
			}
		})
	}
	cancel(cause)
	calls.Wait()
}

func TestConcurrentInvocationsAreAnsweredOneAfterTheOther(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]spec{
		"node":   nodeFile(`exports.handler = async (event) => { await new Promise(setImmediate); return event }`),
		"python": pythonFile("def handler(event, context):\n    return event\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, s)
			var calls sync.WaitGroup
			for i := range 20 {
				calls.Go(func() {
					want := strconv.Itoa(i)
					r, err := d.session.Invoke(t.Context(), &invocation.Invocation{ID: want, Payload: []byte(want)})
					if err != nil || string(r.Payload) != want {
						t.Errorf("call %s: %v, %v", want, r, err)
					}
				})
			}
			calls.Wait()
		})
	}
}

func TestRuntimeThatBreaksTheProtocolIsKilled(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]spec{
		"garbage":           nodeFile(`exports.handler = () => { require("fs").writeSync(3, "x".repeat(64)); for (;;); }`),
		"huge log line":     nodeFile(`exports.handler = () => { const b = Buffer.alloc(16); b.writeUInt32BE(2**31, 0); b[12] = 7; require("fs").writeSync(3, b); for (;;); }`),
		"closed descriptor": pythonFile("import os, time\ndef handler(event, context):\n    os.close(3)\n    time.sleep(1e6)\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exits(t, start(t, s), -1, "killed")
		})
	}
}

func TestForgedAnswersCountForNothing(t *testing.T) {
	d := start(t, nodeFile(`exports.handler = async () => {
		const b = Buffer.alloc(17, "1"); b.writeUInt32BE(1, 0); b.writeUInt32BE(0, 4); b.writeUInt32BE(999, 8); b.writeUInt32BE(5 << 24, 12);
		require("fs").writeSync(3, b); return "true answer" }`))
	if got := d.call(`{}`); got != `"true answer"` {
		t.Errorf("got %s", got)
	}
}

func TestChildThatOutlivesTheRuntimeDoesNotHoldTheSession(t *testing.T) {
	d := start(t, pythonFile("import os, time\ndef handler(event, context):\n    if os.fork() == 0:\n        time.sleep(1e6)\n    os._exit(6)\n"))
	exits(t, d, 6, "")
}

func TestCloseEndsTheConversation(t *testing.T) {
	d := start(t, nodeFile(`exports.handler = async () => "ok"`))
	for range 2 {
		if err := d.session.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	select {
	case <-d.session.Done():
	default:
		t.Error("Done is open after Close")
	}
	if _, err := d.try(`{}`); !fault.Is(err, fault.Unavailable, "SessionClosed") && !isExit(err) {
		t.Errorf("Invoke after Close: %v", err)
	}
	<-d.sandbox.process.Done() // the shim ends when its socket closes
}

func isExit(err error) bool {
	_, ok := errors.AsType[*runtimeapi.ExitError](err)
	return ok
}
