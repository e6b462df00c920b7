package shim_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/language"
)

// pythonFile is a function of one file, app.py.
func pythonFile(source string) spec {
	return spec{family: language.Python, handler: "app.handler", files: map[string]string{"app.py": source}}
}

func TestPythonHandlersAreFound(t *testing.T) {
	t.Parallel()
	const ok = "def handler(event, context):\n    return 'ok'\n"
	tests := []struct {
		name, handler string
		files         map[string]string
	}{
		{"module", "app.handler", map[string]string{"app.py": ok}},
		{"package by dots", "pkg.sub.app.handler", map[string]string{"pkg/__init__.py": "", "pkg/sub/app.py": ok}},
		{"package by slashes", "pkg/sub/app.handler", map[string]string{"pkg/sub/app.py": ok}},
		{"callable object", "app.handler", map[string]string{
			"app.py": "class H:\n    def __call__(self, event, context):\n        return 'ok'\nhandler = H()\n",
		}},
		{"imports a neighbour", "app.handler", map[string]string{
			"app.py": "import other\ndef handler(event, context):\n    return other.word\n", "other.py": "word = 'ok'\n",
		}},
		{"named like a part of the shim", "context.handler", map[string]string{"context.py": ok}},
		{"named like a standard module", "json.handler", map[string]string{"json.py": ok}},
		{"layer", "app.handler", map[string]string{
			"app.py":                "import layered\ndef handler(event, context):\n    return layered.word\n",
			"opt/python/layered.py": "word = 'ok'\n",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := start(t, spec{family: language.Python, handler: tt.handler, files: tt.files})
			if got := d.call(`{}`); got != `"ok"` {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestPythonAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, event, want string }{
		{"event", "return event", `{"a":[1,2.5,"ü",null,true]}`, `{"a": [1, 2.5, "ü", null, true]}`},
		{"nothing", "pass", `{}`, `null`},
		{"text", "return 'ok'", `{}`, `"ok"`},
		{"numbers of JavaScript", "return [float('nan'), float('inf')]", `{}`, `[NaN, Infinity]`},
		{"decimal", "from decimal import Decimal; return [Decimal('1'), Decimal('2.5')]", `{}`, `[1, 2.5]`},
		{"keys that are no strings", "return {1: 'a', None: 'b'}", `{}`, `{"1": "a", "null": "b"}`},
		{"large integer", "return event", `12345678901234567890123`, `12345678901234567890123`},
		{"trace id", "import os; return os.environ['_X_AMZN_TRACE_ID']", `{}`, `"Root=1-1"`},
		{"working directory", "import os; return os.getcwd() == os.environ['LAMBDA_TASK_ROOT']", `{}`, `true`},
		{"search path", "import os, sys; return sys.path[0] == os.environ['LAMBDA_TASK_ROOT']", `{}`, `true`},
		{
			"context",
			"c = context; return [c.function_name, c.function_version, c.memory_limit_in_mb, c.aws_request_id, c.invoked_function_arn, " +
				"c.log_group_name, c.identity.cognito_identity_id, c.client_context.custom['k'], c.client_context.client.app_title, " +
				"c.client_context.client.app_version_code, c.get_remaining_time_in_millis() > 20000]",
			`{}`,
			`["hello", "$LATEST", "128", "request-1", "arn:aws:lambda:us-east-1:000000000000:function:hello", "/aws/lambda/hello", ` +
				`"id1", "v", "shop", null, true]`,
		},
		{"subprocess", "import subprocess, sys; return subprocess.run([sys.executable, '-S', '-c', 'import sys; sys.exit(3)']).returncode", `{}`, `3`},
		{"thread", "import threading; r = []; t = threading.Thread(target=lambda: r.append(1)); t.start(); t.join(); return r", `{}`, `[1]`},
		{"asyncio", "import asyncio\n    async def f():\n        return 'ok'\n    return asyncio.run(f())", `{}`, `"ok"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := start(t, pythonFile("def handler(event, context):\n    "+tt.body+"\n"))
			if got := d.call(tt.event); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPythonFailures(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, errorType, message, trace string }{
		{"raises", "raise ValueError('boom')", "ValueError", "boom", `app.py", line 4, in handler`},
		{"own class", "raise Mine('boom')", "Mine", "boom", "raise Mine"},
		{"bytes", "return b'x'", "Runtime.MarshalError", "Unable to marshal response: Object of type bytes is not JSON serializable", ""},
		{"datetime", "import datetime; return datetime.datetime.now()", "Runtime.MarshalError", "Object of type datetime", ""},
		{"cycle", "a = []; a.append(a); return a", "Runtime.MarshalError", "Circular reference", ""},
		{"lone surrogate", "return '\\ud800'", "Runtime.MarshalError", "surrogates not allowed", ""},
		{"lone surrogate in the message", "raise ValueError('\\ud800')", "ValueError", "\ufffd", ""},
		{"unprintable", "raise Unprintable()", "Unprintable", "could not be turned into text", ""},
		{"recursion", "return handler(event, context)", "RecursionError", "maximum recursion depth exceeded", "in handler"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := start(t, pythonFile("class Mine(Exception): pass\n"+
				"class Unprintable(Exception): __str__ = None\n"+
				"def handler(event, context):\n    "+tt.body+"\n"))
			for range 2 { // the runtime survives
				f := d.fail(`{}`)
				if f.ErrorType != tt.errorType || !strings.Contains(f.ErrorMessage, tt.message) {
					t.Errorf("got %s: %s, want %s: %s", f.ErrorType, f.ErrorMessage, tt.errorType, tt.message)
				}
				if trace := strings.Join(f.StackTrace, ""); !strings.Contains(trace, tt.trace) || strings.Contains(trace, "mayfly_shim") {
					t.Errorf("trace: %s", trace)
				}
				if !strings.HasPrefix(f.RequestID, "request-") {
					t.Errorf("request id %q", f.RequestID)
				}
			}
			if text := d.output.text(); !strings.Contains(text, "[ERROR] "+tt.errorType+": ") {
				t.Errorf("the failure was not logged: %s", text)
			}
		})
	}
}

func TestPythonInitFailures(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, handler, source, errorType, message string }{
		{"no such module", "missing.handler", "", "Runtime.ImportModuleError", "Unable to import module 'missing': No module named 'missing'"},
		{"no such package", "app.handler", "import missing_package", "Runtime.ImportModuleError", "No module named 'missing_package'"},
		{"no such function", "app.other", "", "Runtime.HandlerNotFound", "Handler 'other' missing on module 'app'"},
		{"syntax", "app.handler", "def handler(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': "},
		{"no dot", "app", "", "Runtime.MalformedHandlerName", "Bad handler 'app'"},
		{"only a dot", ".handler", "", "Runtime.MalformedHandlerName", "Bad handler"},
		{"built-in", "sys.exit", "", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys"},
		{"raises", "app.handler", "raise ValueError('boom')", "ValueError", "boom"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := pythonFile(tt.source)
			s.handler = tt.handler
			initFails(t, deploy(t, s), tt.errorType, tt.message)
		})
	}
}

func TestPythonOutput(t *testing.T) {
	d := start(t, pythonFile(`import sys
print("at init")
def handler(event, context):
    import os, subprocess
    print("a", 1, end=".\n")
    print("b\nc")
    print("ü", file=sys.stderr)
    sys.stdout.buffer.write(b"bytes\n")
    context.log("logged")
    os.write(1, b"raw out\n")
    subprocess.run(["sh", "-c", "echo child >&2"])
    print("unfinished", end="")
`))
	if got, want := d.output.text(), "stdout  at init\n"; got != want {
		t.Errorf("at init: %q, want %q", got, want)
	}
	d.call(`{}`)
	want := "stdout ID a 1.\nstdout ID b\nstdout ID c\nstderr ID ü\nstdout ID bytes\nstdout ID logged\n" +
		"stdout ID raw out\nstderr ID child\nstdout ID unfinished\n"
	if got := d.output.text(); !sameLines(got, strings.ReplaceAll(want, "ID", "request-1")) {
		t.Errorf("got:\n%s", got)
	}
}

func TestPythonLogging(t *testing.T) {
	d := start(t, pythonFile(`import logging
logger = logging.getLogger()
logger.setLevel("INFO")
logging.getLogger("lib").info("at init")
def handler(event, context):
    logger.info("hello %s", "you")
    logging.getLogger("lib").warning("careful")
    logging.debug("too fine")
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("failed")
`))
	times := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	if got, want := times.ReplaceAllString(d.output.text(), "TIME"), "stdout  [INFO]\tTIME\t\tat init\n"; got != want {
		t.Errorf("at init: %q, want %q", got, want)
	}
	d.call(`{}`)
	got := times.ReplaceAllString(d.output.text(), "TIME")
	want := "stdout request-1 [INFO]\tTIME\trequest-1\thello you\n" +
		"stdout request-1 [WARNING]\tTIME\trequest-1\tcareful\n" +
		"stdout request-1 [ERROR]\tTIME\trequest-1\tfailed\nTraceback (most recent call last):\n"
	if !strings.HasPrefix(got, want) || !strings.Contains(got, "ZeroDivisionError") {
		t.Errorf("got:\n%s\nwant it to start:\n%s", got, want)
	}
}

func TestPythonLoggingAsJSON(t *testing.T) {
	s := pythonFile(`import logging
def handler(event, context):
    logging.info("hello", extra={"order": 7})
    logging.debug("too fine")
    try:
        raise ValueError("boom")
    except ValueError:
        logging.exception("failed")
`)
	s.json = true
	d := start(t, s)
	d.call(`{}`)
	type line struct {
		Level, RequestID, Message, ErrorType, Logger string
		Order                                        int
		StackTrace                                   []string
	}
	var got []line
	for _, l := range d.output.take() {
		var one line
		if err := json.Unmarshal(l.Text, &one); err != nil {
			t.Fatalf("%v: %s", err, l.Text)
		}
		got = append(got, one)
	}
	if len(got) != 2 {
		t.Fatalf("%d lines, want 2: %+v", len(got), got)
	}
	if l := got[0]; l.Message != "hello" || l.Order != 7 || l.RequestID != "request-1" || l.Level != "INFO" || l.Logger != "root" {
		t.Errorf("first line: %+v", l)
	}
	if l := got[1]; l.ErrorType != "ValueError" || len(l.StackTrace) < 2 || l.Level != "ERROR" {
		t.Errorf("second line: %+v", l)
	}
}

func TestPythonImportsAreFew(t *testing.T) {
	got := start(t, pythonFile(`import sys
def handler(event, context):
    return sorted(m for m in ("json", "re", "logging", "traceback", "threading", "socket", "site") if m in sys.modules)
`)).call(`{"a":1}`)
	if got != `[]` {
		t.Errorf("every cold start pays for %s", got)
	}
}

func TestPythonForkedChildPrints(t *testing.T) {
	d := start(t, pythonFile(`import os
def handler(event, context):
    child = os.fork()
    if child == 0:
        print("from the child")
        os._exit(0)
    os.waitpid(child, 0)
    print("from the parent")
`))
	d.call(`{}`)
	if got := d.output.text(); !sameLines(got, "stdout request-1 from the child\nstdout request-1 from the parent\n") {
		t.Errorf("got:\n%s", got)
	}
}

func TestPythonSignalHandlerPrints(t *testing.T) {
	d := start(t, pythonFile(`import os, signal
signal.signal(signal.SIGALRM, lambda *_: print("tick"))
def handler(event, context):
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    for i in range(3000):
        print(i)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return "ok"
`))
	if got := d.call(`{}`); got != `"ok"` {
		t.Errorf("got %s", got)
	}
	if got := len(d.output.take()); got < 3000 {
		t.Errorf("%d lines, want 3000 at least", got)
	}
}

func TestPythonExitIsThere(t *testing.T) {
	d := start(t, pythonFile("def handler(event, context):\n    exit(4)\n"))
	exits(t, d, 4, "")
}

func TestPythonCodecAgreesWithJSON(t *testing.T) {
	d := start(t, pythonFile(`import json
from mayfly_shim import codec

TEXTS = ['null', ' [1, -2.5e3, "a\\u00e9\\ud83d\\ude00"] ', '{"a": {"b": []}}', '"\\ud800"', 'NaN', '-Infinity', '1e999',
    '', ' ', '[1,]', '{"a" 1}', '{} x', 'nul', '"a', '"\t"', '\ufeff1', '[' * 100000]
VALUES = [None, "é\"\n", {"a": (1, 2)}, {1: True, 2.5: None}, [float("nan")], 10**30, {b"k": 1}, b"x", {1, 2}, object]

def outcome(function, value):
    try:
        return repr(function(value))
    except Exception as error:
        return "{}: {}".format(type(error).__name__, error).split(" at 0x")[0].split(" while ")[0]

def handler(event, context):
    loads, dumps = codec._plain()
    differ = [t for t in TEXTS if outcome(codec.loads, t) != outcome(loads, t) or outcome(codec.loads, t.encode()) != outcome(loads, t.encode())]
    return differ + [repr(v) for v in VALUES if outcome(codec.dumps, v) != outcome(dumps, v)] + [codec.loads.__qualname__]
`))
	if got := d.call(`{}`); got != `["_fast.<locals>.loads"]` {
		t.Errorf("differences: %s", got)
	}
}
