package lambda

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/fault"
)

func TestEveryKindOfFaultHasAnAnswer(t *testing.T) {
	for _, kind := range fault.Kinds() {
		if a := faults.Kinds[kind]; a.Status < 400 || a.Code == "" {
			t.Errorf("%s: %+v", kind, a)
		}
	}
	for kind, answers := range faults.Reasons {
		for reason, a := range answers {
			if a.Status < 400 || a.Code == "" {
				t.Errorf("%s %s: %+v", kind, reason, a)
			}
		}
	}
}

func TestEveryOperationIsFoundByItsPath(t *testing.T) {
	rs := newRoutes(operations)
	for _, op := range operations {
		path := strings.ReplaceAll(op.path, "{}", "arn%3Aaws%3Ax%2Fy")
		r := httptest.NewRequestWithContext(t.Context(), op.method, path+"?"+op.query, http.NoBody)
		got, params, err := rs.match(r)
		if err != nil || got.name != op.name {
			t.Errorf("%s %s: got %s, %v, want %s", op.method, r.URL, got.name, err, op.name)
		}
		for _, p := range params {
			if p != "arn:aws:x/y" {
				t.Errorf("%s: parameter %q", op.name, p)
			}
		}
	}
}

func FuzzReference(f *testing.F) {
	s := New(Config{Region: "us-east-1"})
	for _, seed := range []string{
		"f", "f:$LATEST", "function:f", "000000000000:function:f:1", "arn:aws:lambda:us-east-1:000000000000:function:f", "a:b:c", "", strings.Repeat("a", 141),
	} {
		f.Add(seed, "")
	}
	f.Fuzz(func(t *testing.T, name, qualifier string) {
		ref, err := s.reference(testCall(), name, qualifier)
		if err != nil {
			return
		}
		if ref.Name == "" || strings.ContainsAny(ref.Name, ":/ \x00") || strings.ContainsAny(ref.Qualifier, ":/ \x00") {
			t.Errorf("%q with %q became %+v", name, qualifier, ref)
		}
	})
}

func testCall() *call {
	return &call{Request: &protocol.Request{Account: "000000000000", Identity: auth.Identity{Namespace: "default"}}}
}
