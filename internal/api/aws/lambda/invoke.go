package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"
	"unicode/utf8"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
)

func (s *Service) invoke(w http.ResponseWriter, c *call) error {
	kind, wantTail, err := invokeHeaders(c.Header)
	if err != nil {
		return err
	}
	ref, err := s.named(c)
	if err != nil {
		return err
	}
	context, err := clientContext(c.Header.Get("X-Amz-Client-Context"))
	if err != nil {
		return err
	}
	payload, err := eventPayload(c.Payload)
	if err != nil {
		return err
	}
	// The lookup is in memory; only a function that is there gets further.
	if _, err := s.find(c, ref); err != nil {
		return s.invokeError(c, ref, err)
	}
	switch kind {
	case "Event":
		return unsupported("The invocation type Event")
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	inv := &invocation.Invocation{
		ID: c.ID, Ref: ref, ARN: s.arn(c, ref.Name, ref.Qualifier),
		Payload: payload, ClientContext: context,
		TraceID: invocation.Trace(c.Header.Get("X-Amzn-Trace-Id"), time.Now()),
		Trigger: "api", Received: time.Now(), WantLogTail: wantTail,
		FailFast: true, // AWS refuses at the reserved concurrency and has the client come back
	}
	result, err := s.Invoker.Invoke(c.Context(), inv)
	if err != nil {
		return s.invokeError(c, ref, err)
	}
	writeResult(w, inv, result)
	return nil
}

// invokeHeaders reads the headers that say how to invoke.
func invokeHeaders(h http.Header) (kind string, wantTail bool, err error) {
	var v violations
	kind, logType := h.Get("X-Amz-Invocation-Type"), h.Get("X-Amz-Log-Type")
	if kind != "" {
		v.oneOf(&kind, "invocationType", "Event", "RequestResponse", "DryRun")
	}
	if logType != "" {
		v.oneOf(&logType, "logType", "None", "Tail")
	}
	if err := v.err(); err != nil {
		return "", false, err
	}
	for _, name := range []string{"X-Amz-Tenant-Id", "X-Amz-Durable-Execution-Name"} {
		if h.Get(name) != "" {
			return "", false, unsupported("The header " + name)
		}
	}
	return kind, logType == "Tail", nil
}

func clientContext(header string) ([]byte, error) {
	if header == "" {
		return nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(header)
	if err != nil || !json.Valid(raw) {
		return nil, protocol.Errorf(http.StatusBadRequest, invalidContent, "Client context must be a valid Base64-encoded JSON object.")
	}
	if len(raw) > invocation.MaxClientContextBytes {
		return nil, protocol.Errorf(http.StatusBadRequest, invalidContent, "Client context must be less than or equal to %d bytes.", invocation.MaxClientContextBytes)
	}
	return raw, nil
}

// eventPayload returns what user code gets: JSON, and {} for nothing.
func eventPayload(body []byte) ([]byte, error) {
	if len(body) == 0 {
		return []byte("{}"), nil
	}
	if json.Valid(body) && utf8.Valid(body) {
		return body, nil
	}
	reason := "the bytes are not UTF-8"
	var ignored json.RawMessage
	if err := json.Unmarshal(body, &ignored); err != nil {
		reason = err.Error()
	}
	return nil, protocol.Errorf(http.StatusBadRequest, invalidContent,
		"Could not parse request body into json: Could not parse payload into json: %s", reason)
}

// invokeError names an unknown function with its version, as AWS does here
// alone.
func (s *Service) invokeError(c *call, ref function.Ref, err error) error {
	e, ours := errors.AsType[*protocol.Error](err)
	missing := fault.Is(err, fault.NotFound, "FunctionNotFound") || ours && e.Code == notFound
	switch {
	case !missing:
		return err
	case ref.Qualifier == "":
		ref.Qualifier = function.Latest
	}
	return s.missing(c, ref)
}

func writeResult(w http.ResponseWriter, inv *invocation.Invocation, result *invocation.Result) {
	h := w.Header()
	h.Set("Content-Type", result.ContentType)
	if result.ContentType == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("X-Amz-Executed-Version", result.ExecutedVersion)
	h.Set("X-Amzn-Trace-Id", inv.TraceID)
	if result.FunctionError != "" {
		h.Set("X-Amz-Function-Error", result.FunctionError)
	}
	if inv.WantLogTail {
		h.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(result.LogTail))
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(result.Payload) // a caller that has gone is no error
}
