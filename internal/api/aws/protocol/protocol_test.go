package protocol_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/fault"
)

func TestEveryKindOfFaultHasAnAnswerInTheQueryProtocol(t *testing.T) {
	table := protocol.QueryErrors()
	for _, kind := range fault.Kinds() {
		if e := table.Error(fault.New(kind, "Some", "what happened")); e.Status < 400 || e.Code == "" || e.Message == "" {
			t.Errorf("%s: %+v", kind, e)
		}
	}
}

func TestWhatHasNoKindSaysNothingOfTheInside(t *testing.T) {
	e := protocol.QueryErrors().Error(errors.New("disk /dev/sda1 broke"))
	if e.Status != http.StatusInternalServerError || strings.Contains(e.Message, "sda1") {
		t.Errorf("got %+v", e)
	}
}

func TestJSONErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err  *protocol.Error
		body string
		wait string
	}{
		"caller's":  {&protocol.Error{Status: 400, Code: "InvalidParameterValueException", Message: "m"}, `{"Type":"User","message":"m"}`, ""},
		"ours":      {&protocol.Error{Status: 500, Code: "ServiceException", Message: "m"}, `{"Message":"m","Type":"Service"}`, ""},
		"throttled": {&protocol.Error{Status: 429, Code: "TooManyRequestsException", Message: "m", Reason: "R", RetryAfter: time.Millisecond}, `{"Reason":"R","Type":"User","message":"m"}`, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			protocol.WriteJSONError(w, c.err)
			if w.Code != c.err.Status || w.Body.String() != c.body || w.Header().Get("X-Amzn-Errortype") != c.err.Code || w.Header().Get("Retry-After") != c.wait {
				t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
			}
		})
	}
}

func TestXMLReplies(t *testing.T) {
	for name, c := range map[string]struct {
		write func(w http.ResponseWriter)
		want  string
	}{
		"result": {
			func(w http.ResponseWriter) { protocol.WriteXML(w, "ns", "Get", "id", struct{ A string }{"<&>"}) },
			`<GetResponse xmlns="ns"><GetResult><A>&lt;&amp;&gt;</A></GetResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></GetResponse>`,
		},
		"nothing": {
			func(w http.ResponseWriter) { protocol.WriteXML(w, "ns", "Put", "id", nil) },
			`<PutResponse xmlns="ns"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></PutResponse>`,
		},
		"error": {
			func(w http.ResponseWriter) {
				protocol.WriteXMLError(w, "ns", "id", protocol.Errorf(http.StatusNotFound, "NoSuchEntity", "gone"))
			},
			`<ErrorResponse xmlns="ns"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>gone</Message></Error><RequestId>id</RequestId></ErrorResponse>`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c.write(w)
			if got := w.Body.String(); !strings.HasSuffix(got, c.want) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func FuzzForm(f *testing.F) {
	f.Add("Action=X&Tags.member.1.Key=a&Tags.member.1.Value=b&Keys.member.1=k", "")
	f.Add("%zz", "a=%2")
	f.Add("Keys.member.0=a&Keys.member.99999999999=b", "Keys.member.1=")
	f.Fuzz(func(t *testing.T, body, query string) {
		r := &protocol.Request{Request: &http.Request{Method: http.MethodPost, URL: &url.URL{RawQuery: query}}, Payload: []byte(body)}
		form, err := protocol.ParseForm(r)
		if err != nil {
			return
		}
		if n := len(form.List("Keys")) + len(form.Pairs("Tags")); n > len(body)+len(query) {
			t.Errorf("%d members of %q and %q", n, body, query)
		}
	})
}

func TestFormsHoldListsAndPairs(t *testing.T) {
	r := &protocol.Request{
		Request: &http.Request{Method: http.MethodPost, URL: &url.URL{RawQuery: "Version=1"}},
		Payload: []byte("Action=X&Keys.member.1=a&Keys.member.2=b&Keys.member.4=d&Tags.member.1.Key=k&Tags.member.1.Value=v"),
	}
	f, err := protocol.ParseForm(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, f.List("Keys")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][2]string{{"k", "v"}}, f.Pairs("Tags")); diff != "" {
		t.Error(diff)
	}
	if !f.HasPrefix("Tags") || f.HasPrefix("Tag") || f.Get("Version") != "1" {
		t.Errorf("form %v", f)
	}
}
