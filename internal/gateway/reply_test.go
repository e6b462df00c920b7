package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/invocation"
)

const bad = `{"Message":"Internal Server Error"}`

func TestReplies(t *testing.T) {
	tests := []struct {
		name, payload string
		status        int
		body          string
		header        string // of the checked headers, as lines of name=value
	}{
		{"string", `"hello"`, 200, "hello", "Content-Type=application/json"},
		{"integer", `3`, 200, "3", "Content-Type=application/json"},
		{"float", `3.1`, 200, "3.1", "Content-Type=application/json"},
		{"boolean", `true`, 200, "true", "Content-Type=application/json"},
		{"null", `null`, 200, "null", "Content-Type=application/json"},
		{"list", `[1, 2]`, 200, "[1, 2]", "Content-Type=application/json"},
		{"object", `{"a": 1}`, 200, `{"a": 1}`, "Content-Type=application/json"},
		{"statusCode deeper inside", `{"a":{"statusCode":1}}`, 200, `{"a":{"statusCode":1}}`, "Content-Type=application/json"},
		{"nothing", ``, 200, "", "Content-Type=application/json"},
		{"not JSON", `hello`, 502, bad, ""},
		{"broken JSON", `{"statusCode":200`, 502, bad, ""},
		{"broken string", `"hello`, 502, bad, ""},
		{
			"whole", `{"statusCode":201,"headers":{"Content-Type":"text/x","X-N":7,"x-t":true,"x-z":null},"cookies":["a=1; Path=/","b=2"],"body":"b\u00e4"}`,
			201, "bä", "Content-Type=text/x\nX-N=7\nX-T=true\nSet-Cookie=a=1; Path=/|b=2",
		},
		{
			"escapes", `{"status\u0043ode" : 200 , "headers" : { "x-a\\\\" : "q\"\\" , "X-B" : "}\u00e4" } , "ignored" : [ { "a" : "]" } , 1.5e3 , [ ] , { } ] , "body" : "\\" }`,
			200, "\\", "X-B=}ä",
		},
		{"the last of two", `{"statusCode":500,"body":"a","statusCode":201,"body":"b"}`, 201, "b", ""},
		{"status as a string", `{"statusCode":"404"}`, 404, "", "Content-Type=application/json"},
		{"base64", `{"statusCode":200,"body":"AP8=","isBase64Encoded":true}`, 200, "\x00\xff", ""},
		{"null body", `{"statusCode":200,"body":null,"isBase64Encoded":null,"headers":null,"cookies":null}`, 200, "", ""},
		{"lists of values", `{"statusCode":200,"headers":{"x-a":"0","x-b":"b"},"multiValueHeaders":{"X-A":["1","2"]}}`, 200, "", "X-A=1|2\nX-B=b"},
		{
			"connection's headers", `{"statusCode":200,"headers":{"connection":"close","transfer-encoding":"chunked","content-length":"99","x-a":"1"},"body":"ab"}`,
			200, "ab", "Content-Length=2\nX-A=1\nConnection=",
		},
		{"no body allowed", `{"statusCode":204,"body":"x"}`, 204, "", ""},
		{"split header", `{"statusCode":200,"headers":{"x-a":"1\r\nX-B: 2"}}`, 200, "", "X-B="},
		{"interim status", `{"statusCode":100}`, 502, bad, ""},
		{"status out of range", `{"statusCode":600}`, 502, bad, ""},
		{"status not a number", `{"statusCode":"ok"}`, 502, bad, ""},
		{"status with a fraction", `{"statusCode":200.5}`, 502, bad, ""},
		{"status null", `{"statusCode":null}`, 502, bad, ""},
		{"body not a string", `{"statusCode":200,"body":{}}`, 502, bad, ""},
		{"not base64", `{"statusCode":200,"body":"*","isBase64Encoded":true}`, 502, bad, ""},
		{"isBase64Encoded not a boolean", `{"statusCode":200,"body":"","isBase64Encoded":"yes"}`, 502, bad, ""},
		{"headers not an object", `{"statusCode":200,"headers":[]}`, 502, bad, ""},
		{"header not a value", `{"statusCode":200,"headers":{"a":[1]}}`, 502, bad, ""},
		{"cookies not a list", `{"statusCode":200,"cookies":"a=1"}`, 502, bad, ""},
		{"headers too large", `{"statusCode":200,"headers":{"a":"` + strings.Repeat("x", 70<<10) + `"}}`, 502, bad, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.answer(tt.payload)
			resp, body := raw(t, w.serve(t), get("/fn/default/hello/", "x"))
			if resp.StatusCode != tt.status || body != tt.body {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, tt.status, tt.body)
			}
			for pair := range strings.SplitSeq(tt.header, "\n") {
				name, want, _ := strings.Cut(pair, "=")
				if got := strings.Join(resp.Header.Values(name), "|"); name != "" && got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			if reason := resp.Header.Get("X-Amzn-ErrorType"); (reason == "InvalidReply") != (tt.status == 502) {
				t.Errorf("X-Amzn-ErrorType = %q", reason)
			}
		})
	}
}

func TestResultsThatAreNotJSON(t *testing.T) {
	const httpType = "application/vnd.awslambda.http-integration-response"
	tests := []struct {
		name, mode string
		result     invocation.Result
		status     int
		body       string
	}{
		{"failed", "BUFFERED", invocation.Result{Payload: []byte(`{"statusCode":200}`), FunctionError: "Unhandled", ErrorType: "Sandbox.Timedout"}, 502, bad},
		{"prelude", "BUFFERED", invocation.Result{ContentType: httpType, Payload: []byte("{\"statusCode\":418}\x00\x00\x00\x00\x00\x00\x00\x00tea")}, 418, "tea"},
		{"prelude without status", "RESPONSE_STREAM", invocation.Result{ContentType: httpType, Payload: []byte("{}\x00\x00\x00\x00\x00\x00\x00\x00")}, 200, ""},
		{"prelude without end", "RESPONSE_STREAM", invocation.Result{ContentType: httpType, Payload: []byte("{}tea")}, 502, bad},
		{"stream", "RESPONSE_STREAM", invocation.Result{ContentType: "text/event-stream", Payload: []byte("data: 1")}, 200, "data: 1"},
		{"stream to a buffering URL", "BUFFERED", invocation.Result{ContentType: "application/octet-stream", Payload: []byte(`{"statusCode":201}`)}, 201, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.fn.URL.InvokeMode = tt.mode
			w.result(&tt.result)
			if resp, body := raw(t, w.serve(t), get("/fn/default/hello/", "x")); resp.StatusCode != tt.status || body != tt.body {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, tt.status, tt.body)
			}
		})
	}
}

func TestHeadHasNoBody(t *testing.T) {
	w := newWorld()
	w.answer(`{"statusCode":200,"body":"hello"}`)
	resp, body := raw(t, w.serve(t), "HEAD /fn/default/hello/ HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp.ContentLength != 5 || body != "" || event(t, w)["requestContext"].(map[string]any)["http"].(map[string]any)["method"] != "HEAD" {
		t.Errorf("HEAD = %d %q, length %d", resp.StatusCode, body, resp.ContentLength)
	}
}

// FuzzScan compares what is read of an object with what encoding/json reads.
func FuzzScan(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"x-a":"\u00e4\\"},"body":"a\"b"}`))
	f.Add([]byte(` {"a":[{}, "]"],"statusCode" : 299,"body":null, "headers":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var want map[string]any
		if json.Unmarshal(payload, &want) != nil {
			return
		}
		status, _ := want["statusCode"].(float64)
		body, isString := want["body"].(string)
		if status != 200 || !isString || want["isBase64Encoded"] != nil || want["headers"] != nil || want["multiValueHeaders"] != nil || want["cookies"] != nil {
			return
		}
		w := newWorld()
		w.answer(string(payload))
		resp, got := w.serveText(t, get("/fn/default/hello/", "x"))
		if resp.StatusCode == http.StatusOK && got != body {
			t.Errorf("%q: body = %q, want %q", payload, got, body)
		}
	})
}

// FuzzReply feeds the gateway what a function may answer.
func FuzzReply(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"a":1},"cookies":["c"],"body":"YQ==","isBase64Encoded":true}`), "application/json")
	f.Add([]byte(`"text"`), "")
	f.Add([]byte("{\"statusCode\":\"99\"}\x00\x00\x00\x00\x00\x00\x00\x00body"), "application/vnd.awslambda.http-integration-response")
	f.Fuzz(func(t *testing.T, payload []byte, contentType string) {
		w := newWorld()
		w.result(&invocation.Result{Payload: payload, ContentType: contentType})
		resp, body := w.serveText(t, get("/fn/default/hello/", "x"))
		if resp.StatusCode < 200 || resp.StatusCode > 599 {
			t.Errorf("status %d", resp.StatusCode)
		}
		if resp.StatusCode == http.StatusInternalServerError && strings.Contains(body, "the platform failed") {
			t.Error("the gateway panicked")
		}
	})
}
