package cli_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/api/native"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/pool"
	"mayfly.dev/mayfly/internal/telemetry"
)

// node is the native API over functions kept in memory, which are not run: an
// invocation echoes its payload, unless that asks for a failure.
type node struct {
	mu        sync.Mutex
	functions map[string]*function.Function
	code      map[string][]byte
	lines     []telemetry.Line
	records   []telemetry.StoredRecord
	revisions int
}

// startNode serves a node until the test ends. Its key is left in dir.
func startNode(tb testing.TB, dir string) (n *node, endpoint string) {
	tb.Helper()
	keys, err := auth.OpenKeys(dir)
	if err != nil {
		tb.Fatal(err)
	}
	n = &node{functions: map[string]*function.Function{}, code: map[string][]byte{}}
	stopping := make(chan struct{})
	server := httptest.NewServer(native.New(native.Config{
		Functions: n, Invoker: n, Telemetry: n, Environments: n, Runtimes: n, Keys: keys,
		Node:   func(context.Context) wire.Node { return wire.Node{Version: "test"} },
		Region: "us-east-1", Account: func(string) string { return function.DefaultAccount },
		NewURLID:   func() string { return strings.Repeat("a", 32) },
		URLAddress: func(id string) string { return "http://" + id[:4] + ".localhost:8080/" },
		Stopping:   stopping,
	}))
	tb.Cleanup(func() { close(stopping); server.Close() })
	return n, server.URL
}

func missing(name string) error {
	return fault.New(fault.NotFound, "FunctionNotFound", "the function %s does not exist", name)
}

func (n *node) Function(namespace, name string) (*function.Function, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f := n.functions[namespace+"/"+name]; f != nil {
		return f, nil
	}
	return nil, missing(name)
}

func (n *node) Functions(namespace, after string, limit int) (fs []*function.Function, more bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range n.functions {
		if f.Namespace == namespace && f.Name > after {
			fs = append(fs, f)
		}
	}
	slices.SortFunc(fs, func(a, b *function.Function) int { return strings.Compare(a.Name, b.Name) })
	return fs[:min(limit, len(fs))], len(fs) > limit
}

func (n *node) PutCode(_ context.Context, zip []byte) (function.Code, error) {
	sum := sha256.Sum256(zip)
	digest := hex.EncodeToString(sum[:])
	n.mu.Lock()
	defer n.mu.Unlock()
	n.code[digest] = bytes.Clone(zip)
	return function.Code{SHA256: digest, SizeBytes: int64(len(zip))}, nil
}

func (n *node) CodeZip(_ context.Context, digest string) (io.ReadCloser, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return io.NopCloser(bytes.NewReader(n.code[digest])), nil
}

func (n *node) revision() string {
	n.revisions++
	return fmt.Sprintf("r%d", n.revisions)
}

func (n *node) Create(_ context.Context, fn catalog.NewFunction) (*function.Function, error) {
	if err := fn.Settings.Check(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	f := &function.Function{Namespace: fn.Namespace, Name: fn.Name, State: function.Active, Tags: fn.Tags, Created: time.Now()}
	f.Latest = function.Version{
		Namespace: fn.Namespace, Function: fn.Name, Number: function.Latest, Settings: fn.Settings, Code: fn.Code,
		Revision: n.revision(), Modified: time.Now(),
	}
	n.functions[fn.Namespace+"/"+fn.Name] = f
	return f, nil
}

func (n *node) UpdateVersion(_ context.Context, namespace, name, revision string, change func(*function.Version) error) (*function.Function, error) {
	return n.change(namespace, name, func(f *function.Function) error {
		if revision != "" && revision != f.Latest.Revision {
			return fault.New(fault.Conflict, "RevisionMismatch", "the function %s has changed", name)
		}
		f.Latest.Revision, f.Latest.Modified = n.revision(), time.Now()
		return change(&f.Latest)
	})
}

func (n *node) Update(_ context.Context, namespace, name string, change func(*function.Function) error) (*function.Function, error) {
	return n.change(namespace, name, change)
}

func (n *node) change(namespace, name string, change func(*function.Function) error) (*function.Function, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.functions[namespace+"/"+name]
	if f == nil {
		return nil, missing(name)
	}
	f = f.Clone()
	if err := change(f); err != nil {
		return nil, err
	}
	n.functions[namespace+"/"+name] = f
	return f, nil
}

func (n *node) Delete(_ context.Context, namespace, name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.functions[namespace+"/"+name] == nil {
		return missing(name)
	}
	delete(n.functions, namespace+"/"+name)
	return nil
}

func (n *node) Settled(_ context.Context, namespace, name string) (*function.Function, error) {
	return n.Function(namespace, name)
}

// Invoke echoes after a cold start. {"fail": true} makes the function fail,
// {"throttle": true} the platform, {"warm": true} makes it a warm call.
func (n *node) Invoke(_ context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	if _, err := n.Function(inv.Ref.Namespace, inv.Ref.Name); err != nil {
		return nil, err
	}
	var wish struct{ Fail, Throttle, Warm bool }
	_ = json.Unmarshal(inv.Payload, &wish) // an echo takes any JSON
	record := &invocation.Record{
		RequestID: inv.ID, Namespace: inv.Ref.Namespace, Function: inv.Ref.Name, Received: time.Now(), Trigger: "api",
		Outcome: invocation.OutcomeOK, Duration: 1500 * time.Microsecond, Billed: 2 * time.Millisecond, Queue: 20 * time.Microsecond,
	}
	if !wish.Warm {
		record.ColdStart, record.ColdStartReason = true, invocation.ReasonFirst
		record.Queue, record.Sandbox, record.Runtime = 2*time.Millisecond, 3*time.Millisecond, 60*time.Millisecond
		record.Load, record.Init, record.Billed = 500*time.Microsecond, 40*time.Millisecond, 42*time.Millisecond
	}
	result := &invocation.Result{Payload: inv.Payload, ContentType: "application/json", ExecutedVersion: function.Latest, Record: record}
	if inv.WantLogTail {
		result.LogTail = []byte("START\n")
	}
	switch {
	case wish.Throttle:
		return nil, fault.New(fault.Throttled, "ReservedConcurrency", "the function is at its reserved concurrency")
	case wish.Fail:
		failed := invocation.Failed("Error", "as you wish")
		failed.Record, failed.ExecutedVersion = record, function.Latest
		record.Outcome, record.ErrorType = invocation.OutcomeError, "Error"
		result = failed
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records = append(n.records, telemetry.StoredRecord{Cursor: int64(len(n.records) + 1), Record: *record})
	for _, stream := range []string{"platform", "stdout"} {
		n.lines = append(n.lines, telemetry.Line{
			Cursor: int64(len(n.lines) + 1), Time: time.Now(), Namespace: inv.Ref.Namespace, Function: inv.Ref.Name,
			RequestID: inv.ID, Stream: stream, Text: stream + " says " + string(inv.Payload),
		})
	}
	return result, nil
}

func (n *node) Logs(_ context.Context, q telemetry.LogQuery) ([]telemetry.Line, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.lines), func(l telemetry.Line) bool {
		return l.Function != q.Function || q.RequestID != "" && l.RequestID != q.RequestID || l.Time.Before(q.Since)
	}), nil
}

// Follow hands out what there is, then says that the node stops.
func (n *node) Follow(ctx context.Context, q telemetry.LogQuery, fn func(telemetry.Line) error) error {
	lines, err := n.Logs(ctx, q)
	if err != nil {
		return err
	}
	if q.Limit < 0 {
		lines = nil // those that are there already are not wanted
	}
	for _, l := range lines {
		if err := fn(l); err != nil {
			return err
		}
	}
	return fault.New(fault.Unavailable, "Draining", "the node is stopping")
}

func (n *node) Records(_ context.Context, q telemetry.RecordQuery) ([]telemetry.StoredRecord, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(n.records), func(r telemetry.StoredRecord) bool { return r.Function != q.Function })
	slices.Reverse(all)
	return all, nil
}

func (n *node) RecordOf(context.Context, string) (invocation.Record, error) {
	return invocation.Record{}, fault.New(fault.NotFound, "InvocationNotFound", "there is no such invocation")
}

func (n *node) Status(_, name string) []pool.Status {
	return []pool.Status{{ID: name + "-env", Version: function.Latest, State: "idle", Started: time.Now(), Calls: 3, MemoryMB: 128}}
}

func (n *node) Interpreters() []language.Interpreter {
	return []language.Interpreter{
		{Family: language.Node, Version: "20.20.2", Path: "/usr/bin/node"},
		{Family: language.Python, Version: "3.11.7", Path: "/nonexistent/python3.11"},
	}
}

func (n *node) Identifiers() []string { return language.Identifiers() }

func (n *node) Resolve(runtime string) (language.Resolution, error) {
	return language.Resolve(runtime, n.Interpreters())
}
