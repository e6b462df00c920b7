package native

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

const (
	functionsPath = "/v1/namespaces/{namespace}/functions"
	functionPath  = functionsPath + "/{name}"
	// settleTimeout bounds the wait for a function's code to be prepared, which
	// takes milliseconds to seconds.
	settleTimeout = time.Minute
)

// FunctionInput names a function.
type FunctionInput struct {
	Namespace string `path:"namespace" example:"default"`
	Name      string `path:"name" example:"hello"`
}

type listFunctionsInput struct {
	Namespace string `path:"namespace" example:"default"`
	Limit     int    `query:"limit" default:"50" minimum:"1" maximum:"1000"`
	After     string `query:"after" doc:"What the last page had as next"`
}

type functionPageOutput struct{ Body wire.FunctionPage }

type putFunctionInput struct {
	FunctionInput
	IfMatch     string `header:"If-Match" doc:"Change it only if this is its revision; *: only if it exists"`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"*: only if it does not exist"`
	Wait        bool   `query:"wait" default:"true" doc:"Wait until the code is prepared"`
	Body        wire.FunctionSpec
}

type functionOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   wire.Function
}

func (a *API) registerFunctions() {
	list := get(functionsPath, "list-functions", "functions", "List functions")
	operation(a, list, a.listFunctions)
	operation(a, get(functionPath, "get-function", "functions", "Describe a function"), a.getFunction)
	change := put(functionPath, "put-function", "functions", "Create or change a function")
	change.Description = "Creates the function (201) or changes its settings, code and tags (200). What is already so is left alone, so that repeating the call is harmless. " +
		"With wait=false the answer is 202 while the code is being prepared; invocations run the version before until then."
	body := map[string]*huma.MediaType{jsonType: {Schema: a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[wire.Function](), true, "Function")}}
	change.Responses = map[string]*huma.Response{
		"200": {Description: "Changed, or already so", Content: body},
		"201": {Description: "Created", Content: body},
		"202": {Description: "Accepted, and still being prepared", Content: body},
	}
	operation(a, change, a.putFunction)
	operation(a, remove(functionPath, "delete-function", "functions", "Delete a function"), a.deleteFunction)
}

func (a *API) listFunctions(_ context.Context, in *listFunctionsInput) (*functionPageOutput, error) {
	after, err := place(functionCursor, in.After)
	if err != nil {
		return nil, err
	}
	functions, more := a.cfg.Functions.Functions(in.Namespace, after, in.Limit)
	out := &functionPageOutput{Body: wire.FunctionPage{Functions: make([]wire.Function, 0, len(functions))}}
	for _, f := range functions {
		out.Body.Functions = append(out.Body.Functions, a.show(f))
	}
	if more {
		out.Body.Next = cursor(functionCursor, functions[len(functions)-1].Name)
	}
	return out, nil
}

func (a *API) getFunction(_ context.Context, in *FunctionInput) (*functionOutput, error) {
	f, err := a.cfg.Functions.Function(in.Namespace, in.Name)
	if err != nil {
		return nil, err
	}
	return a.output(http.StatusOK, f), nil
}

func (a *API) output(status int, f *function.Function) *functionOutput {
	w := a.show(f)
	return &functionOutput{Status: status, ETag: `"` + w.Revision + `"`, Body: w}
}

func (a *API) deleteFunction(ctx context.Context, in *FunctionInput) (*struct{}, error) {
	return nil, a.cfg.Functions.Delete(ctx, in.Namespace, in.Name)
}

func (a *API) putFunction(ctx context.Context, in *putFunctionInput) (*functionOutput, error) {
	if err := function.CheckName(in.Name); err != nil {
		return nil, err
	}
	want, err := settings(in.Body.Settings)
	if err != nil {
		return nil, err
	}
	if _, err := a.cfg.Runtimes.Resolve(want.Runtime); err != nil {
		return nil, err
	}
	if err := a.measure(ctx, in.Body.Code); err != nil {
		return nil, err
	}
	f, created, err := a.createOrUpdate(ctx, in, want)
	if err != nil {
		return nil, err
	}
	if f, err = a.retag(ctx, f, in.Body.Tags); err != nil {
		return nil, err
	}
	if in.Wait {
		if f, err = a.settle(ctx, f); err != nil {
			return nil, err
		}
	}
	switch {
	case f.State == function.Pending || f.Next != nil:
		return a.output(http.StatusAccepted, f), nil
	case created:
		return a.output(http.StatusCreated, f), nil
	default:
		return a.output(http.StatusOK, f), nil
	}
}

// createOrUpdate brings about what in asks for. Another caller may create or
// delete the function between the look and the deed: then it looks once more.
func (a *API) createOrUpdate(ctx context.Context, in *putFunctionInput, want function.Settings) (f *function.Function, created bool, err error) {
	for range 2 {
		f, err = a.cfg.Functions.Function(in.Namespace, in.Name)
		switch {
		case err == nil && in.IfNoneMatch == "*":
			return nil, false, fault.New(fault.AlreadyExists, "FunctionExists", "the function %s exists already", in.Name)
		case err == nil:
			f, err = a.updateVersion(ctx, f, in, want)
		case fault.Is(err, fault.NotFound, "") && in.IfMatch == "":
			created = true
			f, err = a.create(ctx, in, want)
		}
		if !fault.Is(err, fault.AlreadyExists, "") && !fault.Is(err, fault.NotFound, "FunctionNotFound") || in.IfMatch != "" {
			return f, created, err
		}
		created = false
	}
	return nil, false, err
}

func (a *API) create(ctx context.Context, in *putFunctionInput, want function.Settings) (*function.Function, error) {
	if in.Body.Code == nil {
		return nil, fault.New(fault.Invalid, "CodeMissing",
			"the function %s does not exist yet, so it needs code: upload a zip file to /v1/code and pass what that answers", in.Name)
	}
	return a.cfg.Functions.Create(ctx, catalog.NewFunction{
		Namespace: in.Namespace, Name: in.Name, Settings: want, Code: function.Code(*in.Body.Code), Tags: in.Body.Tags,
	})
}

func (a *API) updateVersion(ctx context.Context, f *function.Function, in *putFunctionInput, want function.Settings) (*function.Function, error) {
	now := f.Newest()
	revision := strings.Trim(strings.TrimPrefix(in.IfMatch, "W/"), `"`)
	if revision == "*" {
		revision = ""
	}
	if (revision == "" || revision == now.Revision) && same(now.Settings, want) &&
		(in.Body.Code == nil || in.Body.Code.SHA256 == now.Code.SHA256) && f.State != function.Failed && f.UpdateFailure == "" {
		return f, nil
	}
	return a.cfg.Functions.UpdateVersion(ctx, in.Namespace, in.Name, revision, func(v *function.Version) error {
		v.Settings = want
		if in.Body.Code != nil {
			v.Code = function.Code(*in.Body.Code)
		}
		return nil
	})
}

// retag replaces the tags, unless they are left out or already so.
func (a *API) retag(ctx context.Context, f *function.Function, tags map[string]string) (*function.Function, error) {
	if tags == nil || maps.Equal(f.Tags, tags) {
		return f, nil
	}
	return a.cfg.Functions.Update(ctx, f.Namespace, f.Name, func(f *function.Function) error {
		f.Tags = tags
		return nil
	})
}

// settle waits until the code is prepared. When that takes long, the function
// comes back as it is.
func (a *API) settle(ctx context.Context, f *function.Function) (*function.Function, error) {
	waiting, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	settled, err := a.cfg.Functions.Settled(waiting, f.Namespace, f.Name)
	switch {
	case err != nil && errors.Is(waiting.Err(), context.DeadlineExceeded):
		return a.cfg.Functions.Function(f.Namespace, f.Name)
	case err != nil:
		return nil, err
	case settled.State == function.Failed:
		return nil, fault.New(fault.Unavailable, "PrepareFailed", "the code of %s could not be prepared: %s", f.Name, settled.StateReason)
	case settled.UpdateFailure != "":
		return nil, fault.New(fault.Unavailable, "PrepareFailed",
			"the update of %s could not be prepared and the version before it runs on: %s", f.Name, settled.UpdateFailure)
	default:
		return settled, nil
	}
}
