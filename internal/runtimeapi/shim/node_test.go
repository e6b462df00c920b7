package shim_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"

	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

// nodeFile is a function of one file, index.js.
func nodeFile(source string) spec {
	return spec{family: language.Node, handler: "index.handler", files: map[string]string{"index.js": source}}
}

func TestNodeHandlersAreFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, handler string
		files         map[string]string
	}{
		{"CommonJS", "index.handler", map[string]string{"index.js": `exports.handler = async () => "ok"`}},
		{"in a directory", "src/lib/app.run", map[string]string{"src/lib/app.js": `exports.run = async () => "ok"`}},
		{"nested export", "index.api.v1.get", map[string]string{"index.js": `exports.api = { v1: { get: async () => "ok" } }`}},
		{"cjs extension", "index.handler", map[string]string{"index.cjs": `exports.handler = async () => "ok"`}},
		{"mjs extension", "index.handler", map[string]string{"index.mjs": `export const handler = async () => "ok"`}},
		{"ES module by package.json", "app.handler", map[string]string{
			"package.json": `{"type": "module"}`, "app.js": `export async function handler() { return "ok" }`,
		}},
		{"ES module by a parent's package.json", "src/app.handler", map[string]string{
			"package.json": `{"type": "module"}`, "src/app.js": `export const handler = async () => "ok"`,
		}},
		{"CommonJS below a module's package.json", "src/app.handler", map[string]string{
			"package.json": `{"type": "module"}`, "src/package.json": `{}`, "src/app.js": `exports.handler = async () => "ok"`,
		}},
		{"top-level await", "index.handler", map[string]string{
			"index.mjs": `const answer = await new Promise((r) => setTimeout(() => r("ok"), 5)); export const handler = async () => answer`,
		}},
		{"default export", "index.handler", map[string]string{"index.mjs": `export default { handler: async () => "ok" }`}},
		{"directory with an index", "api.handler", map[string]string{"api/index.js": `exports.handler = async () => "ok"`}},
		{"package", "hello.handler", map[string]string{"node_modules/hello/index.js": `exports.handler = async () => "ok"`}},
		{"requires a neighbour and a package", "index.handler", map[string]string{
			"index.js":                 `const a = require("./a"), b = require("b"); exports.handler = async () => a + b`,
			"a.js":                     `module.exports = "o"`,
			"node_modules/b/index.js":  `module.exports = "k"`,
			"node_modules/b/unused.js": ``,
		}},
		{"layer", "index.handler", map[string]string{
			"index.js": `exports.handler = async () => require("layered")`,
			"opt/nodejs/node_modules/layered/index.js": `module.exports = "ok"`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := start(t, spec{family: language.Node, handler: tt.handler, files: tt.files})
			if got := d.call(`{}`); got != `"ok"` {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestNodeAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, source, event, want string }{
		{"event", `exports.handler = async (event) => event`, `{"a":[1,"ü",null,true]}`, `{"a":[1,"ü",null,true]}`},
		{"nothing", `exports.handler = async () => {}`, `{}`, `null`},
		{"null", `exports.handler = async () => null`, `{}`, `null`},
		{"a function", `exports.handler = async () => () => 1`, `{}`, `null`},
		{"not a number", `exports.handler = async () => [NaN, undefined]`, `{}`, `[null,null]`},
		{"buffer", `exports.handler = async () => Buffer.from("ab")`, `{}`, `{"type":"Buffer","data":[97,98]}`},
		{"lone surrogate", `exports.handler = async () => "\ud800"`, `{}`, `"\ud800"`},
		{"toJSON", `exports.handler = async () => new Date(0)`, `{}`, `"1970-01-01T00:00:00.000Z"`},
		{"callback", `exports.handler = (e, c, cb) => cb(null, "ok")`, `{}`, `"ok"`},
		{"callback later", `exports.handler = (e, c, cb) => { setTimeout(() => cb(null, "ok"), 5) }`, `{}`, `"ok"`},
		{"first callback counts", `exports.handler = (e, c, cb) => { cb(null, 1); cb(null, 2) }`, `{}`, `1`},
		{"thenable", `exports.handler = () => ({ then(f) { f("ok") } })`, `{}`, `"ok"`},
		{"no promise and no callback", `exports.handler = () => "ignored"`, `{}`, `null`},
		{"context.succeed", `exports.handler = (e, c) => c.succeed("ok")`, `{}`, `"ok"`},
		{"context.done", `exports.handler = (e, c) => c.done(null, "ok")`, `{}`, `"ok"`},
		{
			"callback waits for an empty event loop",
			`exports.handler = (e, c, cb) => { const r = { n: 0 }; setTimeout(() => r.n++, 20); cb(null, r) }`, `{}`, `{"n":1}`,
		},
		{
			"callback does not wait when told so",
			`exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; setTimeout(() => {}, 1e6); cb(null, "ok") }`, `{}`, `"ok"`,
		},
		{"a promise does not wait", `exports.handler = async () => { setTimeout(() => {}, 1e6); return "ok" }`, `{}`, `"ok"`},
		{"trace id", `exports.handler = async () => process.env._X_AMZN_TRACE_ID`, `{}`, `"Root=1-1"`},
		{"working directory", `exports.handler = async () => process.cwd() === process.env.LAMBDA_TASK_ROOT`, `{}`, `true`},
		{
			"context",
			`exports.handler = async (e, c) => [c.functionName, c.functionVersion, c.memoryLimitInMB, c.awsRequestId, c.invokedFunctionArn,
				c.logGroupName, c.clientContext.custom.k, c.identity.cognitoIdentityId, c.getRemainingTimeInMillis() > 20000]`,
			`{}`,
			`["hello","$LATEST","128","request-1","arn:aws:lambda:us-east-1:000000000000:function:hello","/aws/lambda/hello","v","id1",true]`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := start(t, nodeFile(tt.source)).call(tt.event); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNodeFailures(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, source, errorType, message, trace string }{
		{"throws", `exports.handler = () => { throw new TypeError("boom") }`, "TypeError", "boom", "index.js:1"},
		{"rejects", `exports.handler = async () => { throw new RangeError("boom") }`, "RangeError", "boom", "index.js:1"},
		{
			"own class", `class Mine extends Error { constructor(m) { super(m); this.name = "Mine" } }
				exports.handler = async () => { throw new Mine("boom") }`, "Mine", "boom", "index.js:2",
		},
		{"callback with an error", `exports.handler = (e, c, cb) => cb(new Error("boom"))`, "Error", "boom", "index.js:1"},
		{"callback with a string", `exports.handler = (e, c, cb) => cb("boom")`, "string", "boom", ""},
		{"context.fail", `exports.handler = (e, c) => c.fail(new Error("boom"))`, "Error", "boom", "index.js:1"},
		{"throws a string", `exports.handler = async () => { throw "boom" }`, "string", "boom", ""},
		{"throws null", `exports.handler = async () => { throw null }`, "object", "null", ""},
		{"throws a symbol", `exports.handler = async () => { throw Symbol("s") }`, "symbol", "Symbol(s)", ""},
		{
			"an error that can't be read", `exports.handler = async () => { const e = new Error(); Object.defineProperty(e, "message", { get() { throw 1 } }); throw e }`,
			"handled", "could not be read", "",
		},
		{
			"an error with a cycle", `exports.handler = async () => { const e = new Error("boom"); e.self = e; throw e }`,
			"Error", "boom", "index.js:1",
		},
		{"big integer", `exports.handler = async () => 1n`, "Runtime.MarshalError", "BigInt", "JSON.stringify"},
		{"cycle", `exports.handler = async () => { const a = {}; a.a = a; return a }`, "Runtime.MarshalError", "circular", ""},
		{"promise never settles", `exports.handler = () => new Promise(() => {})`, "Runtime.NodeJsExit", "never settled", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := start(t, nodeFile(`let calls = 0; `+tt.source))
			for range 2 { // the runtime survives
				f := d.fail(`{}`)
				if f.ErrorType != tt.errorType || !strings.Contains(f.ErrorMessage, tt.message) {
					t.Errorf("got %s: %s, want %s: %s", f.ErrorType, f.ErrorMessage, tt.errorType, tt.message)
				}
				if trace := strings.Join(f.Trace, "\n"); !strings.Contains(trace, tt.trace) {
					t.Errorf("the trace does not name %s: %s", tt.trace, trace)
				}
			}
			if text := d.output.text(); !strings.Contains(text, "\tERROR\tInvoke Error \t{") {
				t.Errorf("the failure was not logged: %s", text)
			}
		})
	}
}

func TestNodeStacksNameTheSourcesOfABundle(t *testing.T) {
	t.Parallel()
	bundled := api.Transform("type Event = { name: string };\n\nexport const handler = async (event: Event) => {\n  throw new Error(event.name);\n};\n", api.TransformOptions{
		Loader: api.LoaderTS, Format: api.FormatCommonJS, Sourcefile: "hello.ts", Sourcemap: api.SourceMapExternal,
	})
	s := nodeFile(string(bundled.Code) + "//# sourceMappingURL=index.js.map\n")
	s.files["index.js.map"] = string(bundled.Map)
	f := start(t, s).fail(`{"name":"boom"}`)
	if trace := strings.Join(f.Trace, "\n"); f.ErrorMessage != "boom" || !strings.Contains(trace, "hello.ts:4:") {
		t.Errorf("%s: the trace does not name the line of the source: %s", f.ErrorMessage, trace)
	}
}

func TestNodeInitFailures(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, handler, source, errorType, message string }{
		{"no such file", "missing.handler", ``, "Runtime.ImportModuleError", "Cannot find module"},
		{"no such package", "index.handler", `require("missing-package")`, "Runtime.ImportModuleError", "missing-package"},
		{"no such export", "index.other", `exports.handler = 1`, "Runtime.HandlerNotFound", "index.other is undefined or not exported"},
		{"not a function", "index.handler", `exports.handler = 1`, "Runtime.HandlerNotFound", "index.handler is not a function"},
		{"syntax", "index.handler", `exports.handler = (`, "Runtime.UserCodeSyntaxError", "SyntaxError"},
		{"no dot", "index", ``, "Runtime.MalformedHandlerName", "Bad handler"},
		{"upwards", "../index.handler", ``, "Runtime.MalformedHandlerName", "not a valid handler name"},
		{"throws", "index.handler", `throw new TypeError("boom")`, "TypeError", "boom"},
		{"throws a string", "index.handler", `throw "boom"`, "string", "boom"},
		{"uncaught later", "index.handler", `setTimeout(() => { throw new Error("boom") }, 0); while (false); exports.handler = 1`, "Runtime.HandlerNotFound", "not a function"},
		{"streaming", "index.handler", `exports.handler = awslambda.streamifyResponse(async () => {})`, "Runtime.StreamingUnsupported", "not supported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := nodeFile(tt.source)
			s.handler = tt.handler
			initFails(t, deploy(t, s), tt.errorType, tt.message)
		})
	}
}

func TestNodeModuleInitFailures(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, source, errorType, message string }{
		{"no such package", `import "missing-package"`, "Runtime.ImportModuleError", "missing-package"},
		{"syntax", `export const = 1`, "Runtime.UserCodeSyntaxError", "SyntaxError"},
		{"rejected await", `await Promise.reject(new TypeError("boom"))`, "TypeError", "boom"},
		{
			"unhandled rejection", `Promise.reject(new TypeError("boom")); await new Promise((r) => setTimeout(r, 1e6))`,
			"Runtime.UnhandledPromiseRejection", "TypeError: boom",
		},
		{"uncaught", `setTimeout(() => { throw new TypeError("boom") }, 0); await new Promise((r) => setTimeout(r, 1e6))`, "TypeError", "boom"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, spec{family: language.Node, handler: "index.handler", files: map[string]string{"index.mjs": tt.source}})
			initFails(t, d, tt.errorType, tt.message)
		})
	}
}

// initFails checks an init failure and that the runtime ends after it.
func initFails(t *testing.T, d *deployed, errorType, message string) {
	t.Helper()
	err := d.ready()
	initErr, ok := errors.AsType[*runtimeapi.InitError](err)
	if !ok {
		t.Fatalf("Ready: %v, want an init error\n%s", err, d.output.text())
	}
	f := decode(t, initErr.Payload)
	if initErr.Type != errorType || f.ErrorType != errorType || !strings.Contains(f.ErrorMessage, message) {
		t.Errorf("got %s, %s: %s, want %s: %s", initErr.Type, f.ErrorType, f.ErrorMessage, errorType, message)
	}
	<-d.session.Done()
	if again := d.ready(); !errors.Is(again, err) {
		t.Errorf("Ready after the end: %v, want the same", again)
	}
	if _, err := d.try(`{}`); err == nil {
		t.Error("Invoke after the end succeeded")
	}
}

func TestNodeFatalFailuresEndTheRuntime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, source, errorType, message string
		code                             int
	}{
		{
			"uncaught", `exports.handler = () => new Promise(() => setTimeout(() => { throw new TypeError("boom") }, 1))`,
			"TypeError", "boom", 129,
		},
		{
			"unhandled rejection", `exports.handler = async () => { Promise.reject(new Error("boom")); await new Promise((r) => setTimeout(r, 1e6)) }`,
			"Runtime.UnhandledPromiseRejection", "Error: boom", 128,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := start(t, nodeFile(tt.source))
			f := d.fail(`{}`)
			if f.ErrorType != tt.errorType || f.ErrorMessage != tt.message {
				t.Errorf("got %s: %s", f.ErrorType, f.ErrorMessage)
			}
			select {
			case <-d.session.Done():
			default:
				t.Error("Invoke returned before the runtime had ended")
			}
			if got := d.sandbox.process.Exit().Code; got != tt.code {
				t.Errorf("exit status %d, want %d", got, tt.code)
			}
		})
	}
}

func TestNodeConsole(t *testing.T) {
	d := start(t, nodeFile(`console.log("at init");
		exports.handler = async () => {
			console.log("a %s", "b", { c: 1 }); console.error("e\nf"); console.warn("w"); console.debug("d"); console.info("i");
			console.fatal("x"); process.stdout.write("raw out\nunfinished"); process.stderr.write("raw err\n");
		}`))
	if got := d.output.text(); !regexp.MustCompile(`^stdout  \S+Z\tundefined\tINFO\tat init\n$`).MatchString(got) {
		t.Errorf("at init: %q", got)
	}
	d.call(`{}`)
	times := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	got := times.ReplaceAllString(d.output.text(), "TIME")
	want := strings.ReplaceAll(`stdout ID TIME	ID	INFO	a b { c: 1 }
stderr ID TIME	ID	ERROR	e
f
stderr ID TIME	ID	WARN	w
stdout ID TIME	ID	DEBUG	d
stdout ID TIME	ID	INFO	i
stderr ID TIME	ID	FATAL	x
stdout ID raw out
stdout ID unfinished
stderr ID raw err
`, "ID", "request-1")
	// Raw output and console lines take different ways: each keeps its order.
	if !sameLines(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// sameLines compares the lines of two texts, whatever their order.
func sameLines(a, b string) bool {
	count := map[string]int{}
	for l := range strings.SplitSeq(a, "\n") {
		count[l]++
	}
	for l := range strings.SplitSeq(b, "\n") {
		count[l]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestNodeConsoleAsJSON(t *testing.T) {
	s := nodeFile(`exports.handler = async () => {
		console.log({ a: 1 }); console.error("failed: %s", "x", new TypeError("boom")); console.debug("too fine"); console.log(1n);
	}`)
	s.json, s.env = true, map[string]string{"AWS_LAMBDA_LOG_LEVEL": "INFO"}
	d := start(t, s)
	d.call(`{}`)
	type line struct {
		Level, RequestID     string
		Message              any
		ErrorType, Timestamp string
		StackTrace           []string
	}
	var got []line
	for _, l := range d.output.take() {
		var one line
		if err := json.Unmarshal(l.Text, &one); err != nil {
			t.Fatalf("%v: %s", err, l.Text)
		}
		got = append(got, one)
	}
	if len(got) != 3 {
		t.Fatalf("%d lines, want 3: %+v", len(got), got)
	}
	if m, ok := got[0].Message.(map[string]any); !ok || m["a"] != 1.0 || got[0].Level != "INFO" || got[0].RequestID != "request-1" {
		t.Errorf("first line: %+v", got[0])
	}
	if got[1].ErrorType != "TypeError" || len(got[1].StackTrace) < 2 || got[1].Level != "ERROR" {
		t.Errorf("second line: %+v", got[1])
	}
	if got[2].Message != "1n" {
		t.Errorf("third line: %+v", got[2])
	}
}

func TestNodeBackgroundWorkGoesOnBetweenInvocations(t *testing.T) {
	d := start(t, nodeFile(`let ticks = 0; setInterval(() => ticks++, 1);
		exports.handler = async () => { const seen = ticks; while (ticks === seen) await new Promise(setImmediate); return "ok" }`))
	for range 3 {
		if got := d.call(`{}`); got != `"ok"` {
			t.Errorf("got %s", got)
		}
	}
}

func TestNodeEnvironmentIsTheFunctionsAlone(t *testing.T) {
	t.Setenv("SECRET_OF_THE_NODE", "1")
	s := nodeFile(`exports.handler = async () => Object.keys(process.env).filter((k) => !/^(AWS_|LAMBDA_|_)/.test(k)).sort()`)
	s.env = map[string]string{"TABLE": "t"}
	if got, want := start(t, s).call(`{}`), `["LANG","LD_LIBRARY_PATH","NODE_PATH","PATH","TABLE","TMPDIR","TZ"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
