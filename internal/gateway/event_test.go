package gateway_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/invocation"
)

func TestEvent(t *testing.T) {
	w := newWorld()
	host := urlID + ".lambda-url.us-east-1.localhost:8080"
	body := `{"ä":"\"` + "\x01" + `"}`
	text := fmt.Sprintf("POST /p%%61th/%%2F?b=1&a=%%26+x&b=&flag&%%zz=%%zz&b=3 HTTP/1.1\r\nHost: %s\r\n"+
		"Content-Type: application/json; charset=utf-8\r\nX-Two: 1\r\nx-TWO: 2\r\nUser-Agent: quo\"te\r\n"+
		"Cookie: a=1; b=2\r\nCookie: c=3\r\nConnection: close, x-private\r\nX-Private: p\r\nTe: trailers\r\n"+
		"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Amzn-Trace-Id: Root=1-2-3\r\nContent-Length: %d\r\n\r\n%s",
		host, len(body), body)
	before := time.Now().Truncate(time.Second)
	w.serveText(t, text)
	e := event(t, w)
	rc := e["requestContext"].(map[string]any)
	stamp, err := time.Parse("02/Jan/2006:15:04:05 -0700", rc["time"].(string))
	if err != nil || stamp.Before(before) || !strings.HasSuffix(rc["time"].(string), " +0000") {
		t.Errorf("time = %v: %v", rc["time"], err)
	}
	if epoch := time.UnixMilli(int64(rc["timeEpoch"].(float64))); epoch.Before(before) || time.Since(epoch) > time.Minute {
		t.Errorf("timeEpoch = %v", epoch)
	}
	delete(rc, "time")
	delete(rc, "timeEpoch")
	want := map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": "/p%61th/%2F", "rawQueryString": "b=1&a=%26+x&b=&flag&%zz=%zz&b=3",
		"cookies": []any{"a=1", "b=2", "c=3"},
		"headers": map[string]any{
			"content-type": "application/json; charset=utf-8", "x-two": "1,2", "user-agent": `quo"te`,
			"host": host, "content-length": strconv.Itoa(len(body)), "x-forwarded-for": "203.0.113.9, 192.0.2.7", "x-forwarded-proto": "http", "x-forwarded-port": "8080",
			"x-amzn-trace-id": "Root=1-2-3",
		},
		"queryStringParameters": map[string]any{"b": "1,,3", "a": "& x", "flag": "", "%zz": "%zz"},
		"requestContext": map[string]any{
			"accountId": "000000000000", "apiId": urlID, "domainName": urlID + ".lambda-url.us-east-1.localhost", "domainPrefix": urlID,
			"http": map[string]any{
				"method": "POST", "path": "/p%61th/%2F", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7", "userAgent": `quo"te`,
			},
			"requestId": w.last.ID, "routeKey": "$default", "stage": "$default",
		},
		"body": `{"ä":"\"` + "\x01" + `"}`, "isBase64Encoded": false,
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	inv := w.last
	if inv.ARN != "arn:aws:lambda:us-east-1:000000000000:function:hello" || inv.Trigger != "url" || inv.TraceID != "Root=1-2-3" || inv.Received.IsZero() {
		t.Errorf("invocation = %+v", inv)
	}
}

func TestEventWithoutOptionalParts(t *testing.T) {
	w := newWorld()
	w.serveText(t, get("/fn/default/hello?", "x"))
	e := event(t, w)
	for _, name := range []string{"body", "cookies", "queryStringParameters"} {
		if _, ok := e[name]; ok {
			t.Errorf("%s is there: %v", name, e[name])
		}
	}
	if !strings.HasPrefix(w.last.TraceID, "Root=1-") || len(w.last.TraceID) != len("Root=1-01234567-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0") {
		t.Errorf("trace id = %q", w.last.TraceID)
	}
}

func TestManyQueryParameters(t *testing.T) {
	var query strings.Builder
	for i := range 40 {
		fmt.Fprintf(&query, "p%d=%d&p%d=again&", i, i, i)
	}
	query.WriteString("%7039=last")
	w := newWorld()
	w.serveText(t, get("/fn/default/hello?"+query.String(), "x"))
	parameters := event(t, w)["queryStringParameters"].(map[string]any)
	if len(parameters) != 40 || parameters["p0"] != "0,again" || parameters["p16"] != "16,again" || parameters["p39"] != "39,again,last" {
		t.Errorf("parameters = %v", parameters)
	}
}

func TestEventsOfOneConnectionDoNotShareMemory(t *testing.T) {
	w := newWorld()
	address := w.serve(t)
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	var events []*invocation.Invocation
	for _, body := range []string{"first", "second"} {
		if _, err := io.WriteString(c, post(body, "Content-Type: text/plain")); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		events = append(events, w.last)
	}
	if !strings.HasPrefix(string(events[0].Payload), `{"body":"first"`) || !strings.HasPrefix(string(events[1].Payload), `{"body":"second"`) {
		t.Errorf("events %s\nand %s", events[0].Payload, events[1].Payload)
	}
	if events[0].ID == events[1].ID || events[0].TraceID == events[1].TraceID {
		t.Errorf("ids %q and %q", events[0].ID, events[1].ID)
	}
}

func TestBodiesByContentType(t *testing.T) {
	tests := []struct {
		contentType, encoding, body string
		text                        bool
	}{
		{"text/html; charset=utf-8", "", "<p>", true},
		{"application/json", "", "{}", true},
		{"application/xml", "", "<a/>", true},
		{"application/javascript", "", "1", true},
		{"application/cloudevents+json", "", "{}", true},
		{"image/svg+xml", "", "<svg/>", true},
		{"application/x-www-form-urlencoded", "", "a=b", false},
		{"multipart/form-data; boundary=x", "", "--x--", false},
		{"application/octet-stream", "", "abc", false},
		{"", "", "abc", false},
		{"text/plain", "gzip", "abc", false},
		{"text/plain", "", "\xff\xfe", false},
		{"image/png", "", "", true},
	}
	for _, tt := range tests {
		w := newWorld()
		w.serveText(t, post(tt.body, "Content-Type: "+tt.contentType, "Content-Encoding: "+tt.encoding))
		e := event(t, w)
		body, _ := e["body"].(string)
		if e["isBase64Encoded"] == true {
			decoded, err := base64.StdEncoding.DecodeString(body)
			if err != nil {
				t.Fatal(err)
			}
			body = string(decoded)
		}
		if e["isBase64Encoded"] == tt.text || body != tt.body {
			t.Errorf("%s %s: body %q, isBase64Encoded %v; want %q, %t", tt.contentType, tt.encoding, body, e["isBase64Encoded"], tt.body, !tt.text)
		}
	}
}

// FuzzEvent checks that whatever comes in, the event is JSON and says it.
func FuzzEvent(f *testing.F) {
	f.Add("/a%20b", "a=1&b", "x-h", "v", "body")
	f.Add("//", "%zz&=&&", "cookie", "a;;b", "\xff\x00\u2028")
	f.Fuzz(func(t *testing.T, path, query, name, value, body string) {
		w := newWorld()
		if strings.ContainsAny(path+query, " \r\n") || strings.ContainsAny(path, "?") || strings.ContainsAny(name+value, "\r\n") {
			return // another request than the one that is meant
		}
		w.serveText(t, fmt.Sprintf("POST /fn/default/hello/%s?%s HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
			path, query, name, value, len(body), body))
		if w.last == nil {
			return // refused
		}
		e := event(t, w)
		got := e["rawPath"].(string)
		if want, _, _ := strings.Cut("/"+path, "?"); utf8.ValidString(path) && got != want {
			t.Errorf("rawPath = %q, want %q", got, want)
		}
		if utf8.ValidString(query) && e["rawQueryString"] != query {
			t.Errorf("rawQueryString = %q, want %q", e["rawQueryString"], query)
		}
		if e["isBase64Encoded"] == false && body != "" && e["body"] != body {
			t.Errorf("body = %q, want %q", e["body"], body)
		}
	})
}
