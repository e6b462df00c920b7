package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzValidJSON compares with encoding/json.
func FuzzValidJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `{"a":[1,-0.5e+3,true,false,null,"x\u00e4\n"]}`, ` [ { } , [ ] ] `, `[1,]`, `{"a"}`, `{"a":}`, `{,}`, `[,1]`, `01`, `1.`, `-`, `1e`, `"\x"`, `"\u12"`,
		"\"\n\"", "\"\xff\x7f\"", `[[[[]]]`, `]`, `{]`, `[}`, `tru`, ``, ` `, `1 2`, `{"a":1 "b":2}`, `"a`, `"a\`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := validJSON(b), json.Valid(b); got != want {
			t.Errorf("%q: valid %t, encoding/json says %t", b, got, want)
		}
	})
}

func TestJSONIsNestedAsDeepAsEncodingJSONAllows(t *testing.T) {
	for _, depth := range []int{maxDepth, maxDepth + 1} {
		b := []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		if got, want := validJSON(b), json.Valid(b); got != want {
			t.Errorf("depth %d: valid %t, encoding/json says %t", depth, got, want)
		}
	}
}

// FuzzUnquote compares with encoding/json.
func FuzzUnquote(f *testing.F) {
	for _, seed := range []string{`"abc"`, `"\"\\\/\b\f\n\r\t"`, `"\u00e4\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d\u0041"`, `"\ud83d\ud83d\ude00"`, "\"a\xffb\xc3\"", "\"\\n\xe2\x82\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		var want string
		if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &want) != nil {
			return
		}
		value = bytes.Trim(value, " \t\r\n")
		if got := string(unquote(value)); got != want {
			t.Errorf("%q says %q, encoding/json reads %q", value, got, want)
		}
		if got := string(appendUnquoted([]byte("x"), value)); got != "x"+want {
			t.Errorf("%q appended is %q, want %q", value, got, "x"+want)
		}
	})
}

// FuzzInPlace compares bodies written out in place with those written elsewhere.
func FuzzInPlace(f *testing.F) {
	f.Add([]byte(`{"a":"b\c"}`), 0)
	f.Add([]byte("\x00\x1f\n\t\r plain ä"), 100)
	f.Add(bytes.Repeat([]byte{0xff, '"', 1}, 3000), 10_000)
	f.Fuzz(func(t *testing.T, body []byte, room int) {
		const prefix = "prefix"
		b := append(make([]byte, 0, len(prefix)+len(body)+min(max(0, room), 1<<16)), prefix...)
		b = append(b, body...)
		if got, want := string(encodeTail(bytes.Clone(b), len(prefix))), prefix+base64.StdEncoding.EncodeToString(body); got != want {
			t.Errorf("%q in base64: %q", body, got)
		}
		if !utf8.Valid(body) {
			return
		}
		if got, want := string(escapeTail(b, len(prefix))), prefix+string(appendInner(nil, body)); got != want {
			t.Errorf("%q escaped: %q", body, got)
		}
	})
}

// FuzzCutPort compares with package net.
func FuzzCutPort(f *testing.F) {
	for _, seed := range []string{"", "a", "a:1", "a:", ":1", "[::1]", "[::1]:80", "[a]b:1", "a:b:1", "[::1", "::1]:1", "[]:1", "[[a]]:1", "a:]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name, port, ok := cutPort(host)
		wantName, wantPort, err := net.SplitHostPort(host)
		if ok != (err == nil) || ok && (name != wantName || port != wantPort) {
			t.Errorf("%q: %q %q %t, net has %q %q %v", host, name, port, ok, wantName, wantPort, err)
		}
	})
}
