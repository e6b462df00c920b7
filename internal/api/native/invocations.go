package native

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/telemetry"
)

const (
	// payloadTimeout bounds how long 6 MiB may take to arrive.
	payloadTimeout = 2 * time.Minute
	jsonType       = "application/json"
)

type invokeInput struct {
	FunctionInput
	Stream
	Qualifier     string `query:"qualifier" doc:"The version to run; default $LATEST"`
	DryRun        bool   `query:"dryRun" doc:"Only check that the function can be invoked"`
	LogTail       bool   `header:"Mayfly-Log-Tail" doc:"Ask for the last 4 KiB of the call's log"`
	ClientContext string `header:"Mayfly-Client-Context" doc:"JSON in base64 for the function's context object, at most 3583 bytes of JSON"`
	TraceID       string `header:"X-Amzn-Trace-Id" doc:"The trace to continue"`
	Timing        string `header:"Mayfly-Timing" doc:"1 asks for the call's phases in the header Server-Timing"`
}

type invokeOutput struct {
	Status          int
	ContentType     string `header:"Content-Type"`
	FunctionError   string `header:"Mayfly-Function-Error" doc:"Handled or Unhandled if the function failed; the body says how"`
	ErrorType       string `header:"Mayfly-Error-Type"`
	ExecutedVersion string `header:"Mayfly-Executed-Version"`
	LogTail         string `header:"Mayfly-Log-Tail" doc:"In base64, if it was asked for"`
	ColdStart       string `header:"Mayfly-Cold-Start" doc:"true if the call waited for an environment's start"`
	ColdStartReason string `header:"Mayfly-Cold-Start-Reason" doc:"Why no environment was there"`
	Queue           string `header:"Mayfly-Queue-Ms" doc:"Wait for an environment, without the phases of its start"`
	Sandbox         string `header:"Mayfly-Sandbox-Ms" doc:"On a cold start: making the sandbox, or binding a started one to the function"`
	Runtime         string `header:"Mayfly-Runtime-Ms" doc:"On a cold start: the start of the interpreter"`
	Load            string `header:"Mayfly-Load-Ms" doc:"On a cold start: fetching the code package"`
	Init            string `header:"Mayfly-Init-Ms" doc:"On a cold start: the init phase of the function's code"`
	Duration        string `header:"Mayfly-Duration-Ms" doc:"Time in user code"`
	Billed          string `header:"Mayfly-Billed-Ms"`
	ServerTiming    string `header:"Server-Timing" doc:"The phases, if Mayfly-Timing asked for them"`
	Body            []byte
}

type listRecordsInput struct {
	FunctionInput
	Limit int    `query:"limit" default:"50" minimum:"1" maximum:"1000"`
	After string `query:"after" doc:"What the last page had as next"`
}

type recordPageOutput struct{ Body wire.RecordPage }

type recordInput struct {
	ID string `path:"id" doc:"What an invocation answered as Mayfly-Request-Id"`
}

type recordOutput struct{ Body wire.Record }

type environmentsOutput struct{ Body wire.EnvironmentList }

func (a *API) registerInvocations() {
	invoke := post(functionPath+"/invocations", "invoke", "invocations", "Invoke a function and wait for its result")
	invoke.Description = "The body is the event, JSON of at most 6 MiB; an empty one stands for {}. The answer's body is what the function returned, byte for byte. " +
		"A function that fails is a result too: the status is 200, Mayfly-Function-Error is set and the body describes the failure. Other statuses are the platform's."
	// Without a schema huma leaves the body to us.
	invoke.RequestBody = &huma.RequestBody{Description: "The event: any JSON", Content: map[string]*huma.MediaType{jsonType: {}}}
	invoke.Responses = map[string]*huma.Response{
		"200": {Description: "The function's result, or its failure", Content: map[string]*huma.MediaType{jsonType: {Schema: &huma.Schema{Description: "What the function returned"}}}},
		"204": {Description: "Dry run: the function can be invoked"},
	}
	operation(a, invoke, a.invoke)
	operation(a, get(functionPath+"/invocations", "list-invocations", "invocations", "List a function's finished invocations, newest first"), a.listRecords)
	one := get("/v1/invocations/{id}", "get-invocation", "invocations", "Describe a finished invocation")
	one.Description = "The record of an invocation is there as soon as its answer."
	operation(a, one, a.getRecord)
	operation(a, get(functionPath+"/environments", "list-environments", "invocations", "List a function's live execution environments"), a.listEnvironments)
}

func (a *API) invoke(ctx context.Context, in *invokeInput) (*invokeOutput, error) {
	if err := function.CheckName(in.Name); err != nil {
		return nil, err
	}
	payload, err := in.payload()
	if err != nil {
		return nil, err
	}
	client, err := clientContext(in.ClientContext)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return a.dryRun(in)
	}
	c := callOf(ctx)
	arn := function.ARN{
		Partition: "aws", Region: a.cfg.Region, Account: a.cfg.Account(in.Namespace),
		Name: in.Name, Qualifier: in.Qualifier,
	}
	r, err := a.cfg.Invoker.Invoke(ctx, &invocation.Invocation{
		ID:  c.id,
		Ref: function.Ref{Namespace: in.Namespace, Name: in.Name, Qualifier: in.Qualifier},
		ARN: arn.String(), Payload: payload, ClientContext: client, TraceID: invocation.Trace(in.TraceID, c.received),
		Trigger: "api", Received: c.received, WantLogTail: in.LogTail,
	})
	if err != nil {
		return nil, err
	}
	out := result(r)
	if in.Timing == "1" && r.Record != nil {
		out.ServerTiming = r.Record.ServerTiming()
	}
	return out, nil
}

// payload reads the event.
func (in *invokeInput) payload() ([]byte, error) {
	payload, err := in.read(invocation.MaxRequestBytes, payloadTimeout, errTooLarge("RequestTooLarge", "the payload", invocation.MaxRequestBytes))
	switch {
	case err != nil:
		return nil, err
	case len(payload) == 0:
		return []byte("{}"), nil
	case !json.Valid(payload):
		return nil, fault.New(fault.Invalid, "InvalidJSON", "the payload is not valid JSON")
	default:
		return payload, nil
	}
}

func clientContext(encoded string) ([]byte, error) {
	if encoded == "" {
		return nil, nil
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil || !json.Valid(text):
		return nil, fault.New(fault.Invalid, "ClientContext", "the header %s must be JSON in base64", wire.HeaderClientContext)
	case len(text) > invocation.MaxClientContextBytes:
		return nil, fault.New(fault.Invalid, "ClientContext", "the client context is larger than %d bytes", invocation.MaxClientContextBytes)
	default:
		return text, nil
	}
}

func (a *API) dryRun(in *invokeInput) (*invokeOutput, error) {
	f, err := a.cfg.Functions.Function(in.Namespace, in.Name)
	switch {
	case err != nil:
		return nil, err
	case in.Qualifier != "" && in.Qualifier != function.Latest:
		return nil, fault.New(fault.NotFound, "FunctionNotFound", "the function %s has no version %s", in.Name, in.Qualifier)
	case f.State != function.Active:
		return nil, fault.New(fault.Conflict, "Function"+string(f.State), "the function %s is %s and can't be invoked: %s", in.Name, f.State, f.StateReason)
	default:
		return &invokeOutput{Status: 204}, nil
	}
}

func result(r *invocation.Result) *invokeOutput {
	out := &invokeOutput{
		Status: 200, ContentType: r.ContentType, FunctionError: r.FunctionError, ErrorType: r.ErrorType,
		ExecutedVersion: r.ExecutedVersion, Body: r.Payload,
	}
	if out.ContentType == "" {
		out.ContentType = jsonType
	}
	if r.LogTail != nil {
		out.LogTail = base64.StdEncoding.EncodeToString(r.LogTail)
	}
	if r.Record != nil {
		out.measured(r.Record)
	}
	return out
}

func (out *invokeOutput) measured(r *invocation.Record) {
	out.ColdStart = strconv.FormatBool(r.ColdStart)
	out.Queue, out.Duration, out.Billed = header(r.Queue), header(r.Duration), header(r.Billed)
	if r.ColdStart {
		out.ColdStartReason = r.ColdStartReason
		out.Sandbox, out.Runtime = header(r.Sandbox), header(r.Runtime)
		out.Load, out.Init = header(r.Load), header(r.Init)
	}
}

// header writes a duration as milliseconds.
func header(d time.Duration) string {
	return strconv.FormatFloat(milliseconds(d), 'f', -1, 64)
}

func (a *API) listRecords(ctx context.Context, in *listRecordsInput) (*recordPageOutput, error) {
	before, err := numberPlace(recordCursor, in.After)
	if err != nil {
		return nil, err
	}
	records, err := a.cfg.Telemetry.Records(ctx, telemetry.RecordQuery{Namespace: in.Namespace, Function: in.Name, Before: before, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		if err := a.exists(in.FunctionInput); err != nil {
			return nil, err
		}
	}
	page := wire.RecordPage{Invocations: make([]wire.Record, 0, len(records))}
	for i := range records {
		page.Invocations = append(page.Invocations, showRecord(&records[i].Record))
	}
	if len(records) == in.Limit {
		page.Next = numberCursor(recordCursor, records[len(records)-1].Cursor)
	}
	return &recordPageOutput{Body: page}, nil
}

// exists tells a function that has done nothing from one that is not there: what
// a deleted function did stays readable.
func (a *API) exists(in FunctionInput) error {
	_, err := a.cfg.Functions.Function(in.Namespace, in.Name)
	return err
}

func (a *API) getRecord(ctx context.Context, in *recordInput) (*recordOutput, error) {
	r, err := a.cfg.Telemetry.RecordOf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if r.Namespace != callOf(ctx).identity.Namespace {
		return nil, fault.New(fault.NotFound, "InvocationNotFound", "there is no record of the invocation %s", in.ID)
	}
	return &recordOutput{Body: showRecord(&r)}, nil
}

func (a *API) listEnvironments(_ context.Context, in *FunctionInput) (*environmentsOutput, error) {
	if err := a.exists(*in); err != nil {
		return nil, err
	}
	out := &environmentsOutput{Body: wire.EnvironmentList{Environments: []wire.Environment{}}}
	for _, s := range a.cfg.Environments.Status(in.Namespace, in.Name) {
		out.Body.Environments = append(out.Body.Environments, wire.Environment{
			ID: s.ID, Version: s.Version, Revision: s.Revision, State: s.State,
			Started: s.Started.UTC(), Invocations: s.Calls, MemoryMB: s.MemoryMB,
		})
	}
	return out, nil
}
