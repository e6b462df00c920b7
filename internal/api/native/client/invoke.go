package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
)

// InvokeOptions is what an invocation carries beside its payload.
type InvokeOptions struct {
	// Qualifier is the version to run; empty: $LATEST.
	Qualifier string
	// LogTail asks for the end of the call's log.
	LogTail bool
	// ClientContext is JSON for the function's context object; nil: none.
	ClientContext []byte
	// DryRun only checks that the function can be invoked.
	DryRun bool
}

// Result is how an invocation ended. A function that fails is a result.
type Result struct {
	RequestID   string
	Payload     []byte
	ContentType string
	// FunctionError is Handled or Unhandled if the function failed, else empty.
	FunctionError   string
	ErrorType       string
	ExecutedVersion string
	LogTail         []byte
	ColdStart       bool
	// ColdStartReason says why no environment was there; empty on a warm call.
	ColdStartReason string
	// Queue is the wait for an environment without the phases of its start, which
	// are Sandbox, Runtime, Load and Init on a cold one. Duration is the time in
	// user code.
	Queue, Sandbox, Runtime, Load, Init, Duration, Billed time.Duration
}

// Invoke calls a function and waits for its result. The payload is JSON; an empty
// one stands for {}.
func (c *Client) Invoke(ctx context.Context, name string, payload []byte, opts InvokeOptions) (res *Result, err error) {
	r := c.function(http.MethodPost, name, "invocations")
	r.body, r.size, r.contentType = bytes.NewReader(payload), int64(len(payload)), "application/json"
	r.header, r.query = http.Header{}, url.Values{}
	if opts.Qualifier != "" {
		r.query.Set("qualifier", opts.Qualifier)
	}
	if opts.DryRun {
		r.query.Set("dryRun", "true")
	}
	if opts.LogTail {
		r.header.Set(wire.HeaderLogTail, "true")
	}
	if opts.ClientContext != nil {
		r.header.Set(wire.HeaderClientContext, base64.StdEncoding.EncodeToString(opts.ClientContext))
	}
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, invocation.MaxResponseBytes+1))
	if err != nil {
		return nil, c.unreachable(ctx, fmt.Errorf("read the result: %w", err))
	}
	if len(body) > invocation.MaxResponseBytes {
		return nil, fault.New(fault.TooLarge, "ResponseTooLarge", "the result is larger than %d bytes", invocation.MaxResponseBytes)
	}
	return result(resp.Header, body)
}

func result(h http.Header, body []byte) (*Result, error) {
	tail, err := base64.StdEncoding.DecodeString(h.Get(wire.HeaderLogTail))
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "UnexpectedAnswer", "the node's answer has a broken %s", wire.HeaderLogTail)
	}
	return &Result{
		RequestID: h.Get(wire.HeaderRequestID), Payload: body, ContentType: h.Get("Content-Type"),
		FunctionError: h.Get(wire.HeaderFunctionError), ErrorType: h.Get(wire.HeaderErrorType),
		ExecutedVersion: h.Get(wire.HeaderExecutedVersion), LogTail: tail,
		ColdStart: h.Get(wire.HeaderColdStart) == "true", ColdStartReason: h.Get(wire.HeaderColdStartReason),
		Queue: milliseconds(h.Get(wire.HeaderQueue)), Sandbox: milliseconds(h.Get(wire.HeaderSandbox)),
		Runtime: milliseconds(h.Get(wire.HeaderRuntime)), Load: milliseconds(h.Get(wire.HeaderLoad)),
		Init: milliseconds(h.Get(wire.HeaderInit)), Duration: milliseconds(h.Get(wire.HeaderDuration)),
		Billed: milliseconds(h.Get(wire.HeaderBilled)),
	}, nil
}

// milliseconds reads a figure that is for display: a broken one is zero.
func milliseconds(text string) time.Duration {
	ms, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// Invocations returns at most limit records (0: the node's default) of a
// function's finished invocations, newest first, behind a page's Next.
func (c *Client) Invocations(ctx context.Context, name, after string, limit int) (wire.RecordPage, error) {
	var out wire.RecordPage
	r := c.function(http.MethodGet, name, "invocations")
	r.query = page(after, limit)
	_, err := c.do(ctx, r, &out)
	return out, err
}

// Invocation returns the record of one finished invocation. It appears a moment
// after the invocation's answer.
func (c *Client) Invocation(ctx context.Context, requestID string) (wire.Record, error) {
	var out wire.Record
	_, err := c.do(ctx, request{method: http.MethodGet, path: []string{"v1", "invocations", requestID}}, &out)
	return out, err
}
