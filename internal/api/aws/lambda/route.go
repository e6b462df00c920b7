package lambda

import (
	"net/http"
	"net/url"
	"strings"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
)

// operation is one operation of the API.
type operation struct {
	name   string
	method string
	// path has {} for its variable parts.
	path string
	// query is a parameter that must be given, such as List=ALL; empty: none.
	query string
	serve func(*Service, http.ResponseWriter, *call) error
}

type route struct {
	operation

	segments []string
}

// routes finds operations by method and number of segments.
type routes map[routeKey][]route

type routeKey struct {
	method   string
	segments int
}

func newRoutes(ops []operation) routes {
	rs := routes{}
	for _, op := range ops {
		r := route{operation: op, segments: split(op.path)}
		key := routeKey{op.method, len(r.segments)}
		rs[key] = append(rs[key], r)
	}
	return rs
}

// split returns the segments of a path. Clients send some paths with a trailing
// slash.
func split(path string) []string {
	return strings.Split(strings.Trim(path, "/"), "/")
}

// match returns the operation that a request is for and its path's variable
// parts, decoded. They may hold slashes, since the split comes first.
func (rs routes) match(r *http.Request) (operation, []string, error) {
	segments := split(r.URL.EscapedPath())
	for _, candidate := range rs[routeKey{r.Method, len(segments)}] {
		if params, ok := candidate.match(segments); ok && candidate.wants(r) {
			for i, p := range params {
				var err error
				if params[i], err = url.PathUnescape(p); err != nil {
					return operation{}, nil, unknownOperation(r)
				}
			}
			return candidate.operation, params, nil
		}
	}
	return operation{}, nil, unknownOperation(r)
}

func (r route) match(segments []string) ([]string, bool) {
	var params []string
	for i, s := range r.segments {
		switch {
		case s == "{}" && segments[i] != "":
			params = append(params, segments[i])
		case s != segments[i]:
			return nil, false
		}
	}
	return params, true
}

func (r route) wants(q *http.Request) bool {
	if r.query == "" {
		return true
	}
	key, value, _ := strings.Cut(r.query, "=")
	return q.URL.Query().Get(key) == value
}

func unknownOperation(r *http.Request) error {
	return protocol.Errorf(http.StatusNotFound, "UnknownOperationException",
		"AWS Lambda has no operation %s %.200s", r.Method, r.URL.Path)
}
