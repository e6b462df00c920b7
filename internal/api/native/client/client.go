// Package client is a typed client of the native API, for the CLI and for Go
// programs inside this module. Errors of the node come back as [fault.Error] with
// the node's kind, reason and detail; a node that can't be reached is Unavailable
// with the reason "NodeUnreachable". It repeats nothing: a caller knows best
// whether that is safe. A [Client] is safe for concurrent use.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

const (
	// DefaultEndpoint is where a node listens unless told otherwise.
	DefaultEndpoint = "http://127.0.0.1:9000"

	dialTimeout = 10 * time.Second
	// maxAnswerBytes bounds a JSON answer: the largest is a page of log lines.
	maxAnswerBytes = 256 << 20
	maxProblem     = 1 << 20
)

// Config says which node to speak to, and as whom.
type Config struct {
	// Endpoint is the URL of the control plane; empty: [DefaultEndpoint].
	Endpoint string
	Token    string
	// Namespace of the functions; empty: default.
	Namespace string
}

// Client speaks to one node.
type Client struct {
	base      *url.URL
	token     string
	namespace string
	http      *http.Client
}

// New returns a client. It does not connect yet.
func New(cfg Config) (*Client, error) {
	if cfg.Endpoint == "" {
		cfg.Endpoint = DefaultEndpoint
	}
	if cfg.Namespace == "" {
		cfg.Namespace = "default"
	}
	base, err := url.Parse(cfg.Endpoint)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fault.New(fault.Invalid, "Endpoint", "the endpoint %q is not a URL: write it like %s", cfg.Endpoint, DefaultEndpoint)
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext,
		TLSHandshakeTimeout: dialTimeout, ExpectContinueTimeout: time.Second,
		IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 16,
	}
	// No timeout for the whole exchange: an invocation may take a day.
	return &Client{base: base, token: cfg.Token, namespace: cfg.Namespace, http: &http.Client{Transport: transport}}, nil
}

// Endpoint returns the node's URL.
func (c *Client) Endpoint() string { return c.base.String() }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request is one call of the API.
type request struct {
	method string
	// path elements are escaped when they are joined.
	path   []string
	query  url.Values
	header http.Header
	body   io.Reader
	// size of the body; -1: not known.
	size        int64
	contentType string
}

// function begins the request of an operation on a function.
func (c *Client) function(method, name string, rest ...string) request {
	return request{method: method, path: append([]string{"v1", "namespaces", c.namespace, "functions", name}, rest...)}
}

// document adds a JSON body.
func (r request) document(v any) (request, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return r, fmt.Errorf("encode request: %w", err)
	}
	r.body, r.size, r.contentType = bytes.NewReader(body), int64(len(body)), "application/json"
	return r, nil
}

// send returns an answer whose status is a success. The caller closes its body.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	u := *c.base
	escaped := make([]string, len(r.path))
	for i, element := range r.path {
		escaped[i] = url.PathEscape(element)
	}
	u.Path = strings.TrimSuffix(c.base.Path, "/") + "/" + strings.Join(r.path, "/")
	u.RawPath = strings.TrimSuffix(c.base.EscapedPath(), "/") + "/" + strings.Join(escaped, "/")
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), r.body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", "mayfly-client")
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
		req.ContentLength = r.size
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return nil, errors.Join(problem(resp), resp.Body.Close())
	}
	return resp, nil
}

// do sends a request and decodes the JSON answer into out, unless that is nil. It
// returns the status.
func (c *Client) do(ctx context.Context, r request, out any) (status int, err error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if out == nil {
		return resp.StatusCode, nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswerBytes)).Decode(out); err != nil {
		return 0, fault.Wrap(err, fault.Internal, "UnexpectedAnswer", "what answers at %s is not a mayfly node, or of another version", c.base)
	}
	return resp.StatusCode, nil
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fault.Wrap(err, fault.Unavailable, "NodeUnreachable",
		"no node answers at %s: start one with `mayfly up`, or name another with MAYFLY_ENDPOINT", c.base)
}

// problem decodes an error.
func problem(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	var p wire.Problem
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && mediaType == wire.ProblemType {
		err = json.Unmarshal(body, &p)
	}
	if err != nil || p.Reason == "" {
		return fault.Wrap(err, fault.Internal, "UnexpectedAnswer", "the node answered %s: %.200q", resp.Status, body)
	}
	return fromProblem(p)
}

func fromProblem(p wire.Problem) error {
	kind, _ := wire.KindOf(p.Kind)
	e := &fault.Error{
		Kind: kind, Reason: p.Reason, Detail: p.Detail,
		RetryAfter: time.Duration(p.RetryAfterSeconds * float64(time.Second)),
	}
	if kind == fault.Internal { // the node's log says more
		e.Err = fmt.Errorf("request id %s", p.RequestID)
	}
	return e
}
