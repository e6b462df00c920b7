package catalog_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// modelled is what a function should be, in the simplest terms.
type modelled struct {
	code, description string
	tag               string
}

// TestCatalogBehavesAsAMap applies random writes, in sequence and with
// restarts, to the catalog and to a map, and compares them.
func TestCatalogBehavesAsAMap(t *testing.T) {
	texts := []string{"one", "two", "three"}
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		n := run(t, dir)
		defer func() { n.stop() }()
		model := map[string]modelled{}
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		text := rapid.SampledFrom(texts)
		codes := map[string]string{}
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(rt *rapid.T) {
				name, text := name.Draw(rt, "name"), text.Draw(rt, "code")
				code := n.put(t, text)
				codes[code.SHA256] = text
				_, err := n.Create(t.Context(), newFunction(name, code))
				if _, exists := model[name]; exists {
					wantFault(t, err, fault.AlreadyExists, "FunctionExists")
					return
				}
				model[name] = modelled{code: text}
				n.mustSettle(rt, name, err)
			},
			"update": func(rt *rapid.T) {
				name, text := name.Draw(rt, "name"), text.Draw(rt, "code")
				code := n.put(t, text)
				codes[code.SHA256] = text
				_, err := n.update(name, "", func(v *function.Version) error {
					v.Code, v.Description = code, "now "+text
					return nil
				})
				m, exists := model[name]
				if !exists {
					wantFault(t, err, fault.NotFound, "FunctionNotFound")
					return
				}
				m.code, m.description = text, "now "+text
				model[name] = m
				n.mustSettle(rt, name, err)
			},
			"tag": func(rt *rapid.T) {
				name, text := name.Draw(rt, "name"), text.Draw(rt, "tag")
				_, err := n.Update(t.Context(), "default", name, func(f *function.Function) error {
					f.Tags = map[string]string{"tag": text}
					return nil
				})
				m, exists := model[name]
				if !exists {
					wantFault(t, err, fault.NotFound, "FunctionNotFound")
					return
				}
				m.tag = text
				model[name] = m
				n.mustSettle(rt, name, err)
			},
			"delete": func(rt *rapid.T) {
				name := name.Draw(rt, "name")
				err := n.Delete(t.Context(), "default", name)
				if _, exists := model[name]; !exists {
					wantFault(t, err, fault.NotFound, "FunctionNotFound")
				} else if err != nil {
					rt.Fatal(err)
				}
				delete(model, name)
			},
			"restart": func(*rapid.T) {
				n.stop()
				n = run(t, dir)
			},
			"": func(rt *rapid.T) { n.compare(rt, model, codes) },
		})
	})
}

func (n *node) mustSettle(rt *rapid.T, name string, err error) {
	if err == nil {
		_, err = n.Settled(context.Background(), "default", name)
	}
	if err != nil {
		rt.Fatal(err)
	}
}

func (n *node) compare(rt *rapid.T, model map[string]modelled, codes map[string]string) {
	fs, more := n.Functions("default", "", 100)
	got := map[string]modelled{}
	var names []string
	for _, f := range fs {
		names = append(names, f.Name)
		got[f.Name] = modelled{codes[f.Latest.Code.SHA256], f.Latest.Description, f.Tags["tag"]}
		if f.State != function.Active {
			rt.Errorf("%s is %s", f.Name, f.State)
		}
	}
	if more || !slices.Equal(names, slices.Sorted(maps.Keys(model))) {
		rt.Errorf("listed %v, more %v", names, more)
	}
	if diff := cmp.Diff(model, got, cmp.AllowUnexported(modelled{})); diff != "" {
		rt.Errorf("catalog differs (-model +catalog):\n%s", diff)
	}
}
