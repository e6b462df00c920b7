package nodetest

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

// Zipped is a zip file with one executable file.
func Zipped(tb testing.TB, name string, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	header.SetMode(0o755)
	w, err := z.CreateHeader(header)
	if err == nil {
		_, err = w.Write(content)
	}
	if err := errors.Join(err, z.Close()); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// Put uploads code and makes or changes a function with it.
func (n *Node) Put(ctx context.Context, name string, archive []byte, s wire.Settings, opts client.PutOptions) (wire.Function, error) {
	code, err := n.PutCode(ctx, bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return wire.Function{}, fmt.Errorf("upload: %w", err)
	}
	f, _, err := n.PutFunction(ctx, name, wire.FunctionSpec{Settings: s, Code: &code}, opts)
	return f, err
}

// Call invokes a function whose payload is given as JSON; the platform must not
// fail.
func (n *Node) Call(tb testing.TB, name, payload string) *client.Result {
	tb.Helper()
	r, err := n.Invoke(tb.Context(), name, []byte(payload), client.InvokeOptions{LogTail: true})
	if err != nil {
		tb.Fatalf("invoke %s with %.80s: %v", name, payload, err)
	}
	return r
}

// Want calls a function that must return result.
func (n *Node) Want(tb testing.TB, name, payload, result string) *client.Result {
	tb.Helper()
	r := n.Call(tb, name, payload)
	if r.FunctionError != "" || string(r.Payload) != result {
		tb.Errorf("%s returned %s %.200s, want %.200s", name, r.FunctionError, r.Payload, result)
	}
	return r
}

// Busy counts the function's environments that run a call.
func (n *Node) Busy(tb testing.TB, name string) int {
	tb.Helper()
	return n.InState(tb, name, "busy")
}

// InState counts the function's environments that are in a state.
func (n *Node) InState(tb testing.TB, name, state string) (count int) {
	tb.Helper()
	list, err := n.Environments(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range list {
		if e.State == state {
			count++
		}
	}
	return count
}

// WantFault fails the test unless err is the platform's error of that reason.
func WantFault(tb testing.TB, err error, kind fault.Kind, reason string) {
	tb.Helper()
	if !fault.Is(err, kind, reason) {
		tb.Errorf("got %v, want %s %s", err, kind, reason)
	}
}

// Eventually waits until ok holds; what says what is waited for.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(EndLimit); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Fatalf("after %s still not: %s", EndLimit, what)
		}
	}
}
