package client

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"mayfly.dev/mayfly/internal/api/native/wire"
)

// Node describes the node.
func (c *Client) Node(ctx context.Context) (wire.Node, error) {
	var out wire.Node
	_, err := c.do(ctx, request{method: http.MethodGet, path: []string{"v1", "node"}}, &out)
	return out, err
}

// Runtimes lists runtime identifiers and what serves them on the node.
func (c *Client) Runtimes(ctx context.Context) (wire.RuntimeList, error) {
	var out wire.RuntimeList
	_, err := c.do(ctx, request{method: http.MethodGet, path: []string{"v1", "runtimes"}}, &out)
	return out, err
}

// FunctionPage returns at most limit functions (0: the node's default) behind a
// page's Next, sorted by name.
func (c *Client) FunctionPage(ctx context.Context, after string, limit int) (wire.FunctionPage, error) {
	var out wire.FunctionPage
	r := request{method: http.MethodGet, path: []string{"v1", "namespaces", c.namespace, "functions"}, query: page(after, limit)}
	_, err := c.do(ctx, r, &out)
	return out, err
}

func page(after string, limit int) url.Values {
	query := url.Values{}
	if after != "" {
		query.Set("after", after)
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	return query
}

// Functions lists all functions by name, page by page. It ends with the first
// error.
func (c *Client) Functions(ctx context.Context) iter.Seq2[wire.Function, error] {
	const largestPage = 1000
	return func(yield func(wire.Function, error) bool) {
		for after := ""; ; {
			p, err := c.FunctionPage(ctx, after, largestPage)
			if err != nil {
				yield(wire.Function{}, err)
				return
			}
			for _, f := range p.Functions {
				if !yield(f, nil) {
					return
				}
			}
			if after = p.Next; after == "" {
				return
			}
		}
	}
}

// Function describes a function.
func (c *Client) Function(ctx context.Context, name string) (wire.Function, error) {
	var out wire.Function
	_, err := c.do(ctx, c.function(http.MethodGet, name), &out)
	return out, err
}

// PutOptions narrows what [Client.PutFunction] does.
type PutOptions struct {
	// Revision is the one that the change is based on; empty: any. Another one
	// present: Conflict/"RevisionMismatch".
	Revision string
	// CreateOnly refuses to change a function: AlreadyExists/"FunctionExists".
	CreateOnly bool
	// NoWait returns before the code is prepared.
	NoWait bool
}

// PutFunction creates a function or changes it to spec.
func (c *Client) PutFunction(ctx context.Context, name string, spec wire.FunctionSpec, opts PutOptions) (f wire.Function, created bool, err error) {
	r, err := c.function(http.MethodPut, name).document(spec)
	if err != nil {
		return f, false, err
	}
	r.header, r.query = http.Header{}, url.Values{}
	if opts.Revision != "" {
		r.header.Set("If-Match", `"`+opts.Revision+`"`)
	}
	if opts.CreateOnly {
		r.header.Set("If-None-Match", "*")
	}
	if opts.NoWait {
		r.query.Set("wait", "false")
	}
	status, err := c.do(ctx, r, &f)
	return f, status == http.StatusCreated, err
}

// DeleteFunction deletes a function.
func (c *Client) DeleteFunction(ctx context.Context, name string) error {
	_, err := c.do(ctx, c.function(http.MethodDelete, name), nil)
	return err
}

// PutCode uploads a zip file of size bytes. Wrap zip to watch the progress.
func (c *Client) PutCode(ctx context.Context, zip io.Reader, size int64) (wire.Code, error) {
	var out wire.Code
	_, err := c.do(ctx, request{
		method: http.MethodPost, path: []string{"v1", "code"}, body: zip, size: size, contentType: "application/zip",
		// A node that refuses says so before the file is on its way.
		header: http.Header{"Expect": {"100-continue"}},
	}, &out)
	return out, err
}

// Code downloads a function's zip file and returns its size. The caller closes it.
func (c *Client) Code(ctx context.Context, name string) (zip io.ReadCloser, size int64, err error) {
	resp, err := c.send(ctx, c.function(http.MethodGet, name, "code"))
	if err != nil {
		return nil, 0, err
	}
	return resp.Body, resp.ContentLength, nil
}

// PutURL gives a function a URL, or changes the one it has.
func (c *Client) PutURL(ctx context.Context, name string, spec wire.URLSpec) (wire.URL, error) {
	var out wire.URL
	r, err := c.function(http.MethodPut, name, "url").document(spec)
	if err != nil {
		return out, err
	}
	_, err = c.do(ctx, r, &out)
	return out, err
}

// DeleteURL takes a function's URL away.
func (c *Client) DeleteURL(ctx context.Context, name string) error {
	_, err := c.do(ctx, c.function(http.MethodDelete, name, "url"), nil)
	return err
}

// PutConcurrency reserves concurrency for a function.
func (c *Client) PutConcurrency(ctx context.Context, name string, reserved int) error {
	r, err := c.function(http.MethodPut, name, "concurrency").document(wire.Concurrency{Reserved: reserved})
	if err != nil {
		return err
	}
	_, err = c.do(ctx, r, nil)
	return err
}

// DeleteConcurrency removes a function's reserved concurrency.
func (c *Client) DeleteConcurrency(ctx context.Context, name string) error {
	_, err := c.do(ctx, c.function(http.MethodDelete, name, "concurrency"), nil)
	return err
}

// Environments lists a function's live execution environments, oldest first.
func (c *Client) Environments(ctx context.Context, name string) ([]wire.Environment, error) {
	var out wire.EnvironmentList
	_, err := c.do(ctx, c.function(http.MethodGet, name, "environments"), &out)
	return out.Environments, err
}
