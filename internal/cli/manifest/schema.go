package manifest

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
)

// Schema returns the JSON schema of the manifest. The comments of the structs
// are its descriptions, read from dir, this package's source folder.
func Schema(dir string) ([]byte, error) {
	r := &jsonschema.Reflector{
		FieldNameTag: "yaml", ExpandedStruct: true, Mapper: special,
	}
	if err := r.AddGoComments("mayfly.dev/mayfly/internal/cli/manifest", dir); err != nil {
		return nil, err
	}
	for key, text := range r.CommentMap { // comments are wrapped in the source; editors wrap themselves
		r.CommentMap[key] = strings.ReplaceAll(text, "\n", " ")
	}
	s := r.Reflect(&App{})
	s.ID, s.Title = "https://mayfly.dev/mayfly.schema.json", "mayfly.yaml"
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// special describes the types whose YAML form is not their Go form.
func special(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`, Examples: []any{"10s", "5m"}}
	case reflect.TypeFor[Egress]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "string", Enum: []any{"none", "internet"}},
			{Type: "array", Items: &jsonschema.Schema{Type: "string", Examples: []any{"203.0.113.0/24"}}},
		}}
	default:
		return nil
	}
}
