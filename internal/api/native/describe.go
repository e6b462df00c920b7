package native

import (
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"mayfly.dev/mayfly/internal/api/native/wire"
)

const bearer = "bearer"

// description is the head of the OpenAPI document, and how huma behaves.
func description() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "mayfly",
				Version:     "1",
				Description: "The native API of a mayfly node. Errors are problems in the sense of RFC 9457 with a stable reason. Every answer names its call in the header " + wire.HeaderRequestID + ".",
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: "http://127.0.0.1:9000", Description: "a node's control plane at its default address"}},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					bearer: {Type: "http", Scheme: "bearer", Description: "The token that `mayfly credentials` prints"},
				},
			},
			Security: []map[string][]string{{bearer: {}}},
			Tags: []*huma.Tag{
				{Name: "functions", Description: "What is deployed"},
				{Name: "invocations", Description: "Calls, their records and logs"},
				{Name: "node", Description: "The node and what it can run"},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{ownErrors},
	}
}

// describeErrors documents what an operation answers when it fails.
func (a *API) describeErrors(op *huma.Operation) {
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[wire.Problem](), true, "Problem")
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = &huma.Response{
		Description: "Error",
		Content:     map[string]*huma.MediaType{wire.ProblemType: {Schema: schema}},
	}
}

// Description returns the OpenAPI 3.1 document, indented.
func (a *API) Description() []byte { return a.document }

// finishDescription writes the document, without huma's own error shapes, which
// never leave. (huma's own route would write it at the first request, in a race
// with the second.)
func (a *API) finishDescription() {
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	document, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	if err != nil { // the document is made of our own types alone
		panic(err)
	}
	a.document = append(document, '\n')
	a.mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(a.document)
	})
}

// binary describes a body that is not JSON of ours.
func binary(contentType, description string) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{contentType: {
		Schema: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: description},
	}}
}

// get, put, post and remove begin the description of an operation.
func get(path, id, tag, summary string) huma.Operation {
	return huma.Operation{Method: http.MethodGet, Path: path, OperationID: id, Tags: []string{tag}, Summary: summary}
}

func put(path, id, tag, summary string) huma.Operation {
	op := get(path, id, tag, summary)
	op.Method = http.MethodPut
	op.MaxBodyBytes = maxDocumentBytes
	return op
}

func post(path, id, tag, summary string) huma.Operation {
	op := get(path, id, tag, summary)
	op.Method = http.MethodPost
	return op
}

func remove(path, id, tag, summary string) huma.Operation {
	op := get(path, id, tag, summary)
	op.Method = http.MethodDelete
	return op
}
