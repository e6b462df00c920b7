package wire_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

func TestEveryKindHasAWordAndAStatus(t *testing.T) {
	field, _ := reflect.TypeFor[wire.Problem]().FieldByName("Kind")
	documented := strings.Split(field.Tag.Get("enum"), ",")
	if got, want := len(documented), len(fault.Kinds()); got != want {
		t.Errorf("documented kinds: got %d, want %d", got, want)
	}
	for _, kind := range fault.Kinds() {
		p := wire.NewProblem(&fault.Error{Kind: kind, Reason: "R", Detail: "d"}, "id")
		if p.Status < 400 || p.Title == "" || !slices.Contains(documented, p.Kind) {
			t.Errorf("%s: got %+v, want a status of 400 or more, a title, a documented kind", kind, p)
		}
		if back, ok := wire.KindOf(p.Kind); !ok || back != kind {
			t.Errorf("%s: its word %q stands for %s, %t", kind, p.Kind, back, ok)
		}
	}
	if kind, ok := wire.KindOf("teapot"); ok || kind != fault.Internal {
		t.Errorf("unknown word: got %s, %t, want internal, false", kind, ok)
	}
}
