package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/fault"
)

func TestKindsSurviveWrapping(t *testing.T) {
	cause := errors.New("connection refused to 10.1.2.3")
	err := fmt.Errorf("read function f: %w", fault.Wrap(cause, fault.Unavailable, "StoreStopped", "the store has stopped: start the node again"))
	if !fault.Is(err, fault.Unavailable, "StoreStopped") || !fault.Is(err, fault.Unavailable, "") || fault.Is(err, fault.Unavailable, "Other") || fault.Is(err, fault.Invalid, "") {
		t.Errorf("%v is not recognised", err)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if e := fault.From(err); strings.Contains(e.Detail, "10.1.2.3") {
		t.Errorf("the caller would read %q", e.Detail)
	}
}

func TestAnUnclassifiedErrorIsInternalAndSilent(t *testing.T) {
	err := errors.New("secret")
	e := fault.From(err)
	if e.Kind != fault.Internal || strings.Contains(e.Detail, "secret") || !errors.Is(e, err) {
		t.Errorf("got %+v", e)
	}
	if !fault.Is(err, fault.Internal, "") || fault.Is(nil, fault.Internal, "") {
		t.Error("an unclassified error is Internal, and no error is none")
	}
}

func TestEveryKindHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range fault.Kinds() {
		name := k.String()
		if seen[name] || strings.HasPrefix(name, "kind(") {
			t.Errorf("kind %d is called %q", k, name)
		}
		seen[name] = true
	}
}
