package gateway

import (
	"net"
	"net/http"
	"strings"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// urlIDLength is the length of the host label that is a function URL's id.
const urlIDLength = 32

// target is the function that a request is for, as the request names it.
type target struct {
	fn *function.Function
	// domain is the host name without its port.
	domain string
	// path is what the function sees of the path, percent-encoded as it came.
	path string
	// query is the query string as it came.
	query string
}

// route finds the function by host (<id>.localhost or
// <id>.lambda-url.<region>.localhost) or else by path (/fn/<namespace>/<name>/).
func (g *Gateway) route(r *http.Request) (target, error) {
	t := target{domain: hostname(r.Host)}
	t.path, t.query = wirePath(r)
	var err error
	if id, ok := g.urlID(t.domain); ok {
		t.fn, err = g.cfg.Functions.FunctionByURL(id)
	} else {
		namespace, name, rest, ok := splitPath(t.path)
		if !ok {
			return target{}, errNoFunction()
		}
		t.path = rest
		t.fn, err = g.cfg.Functions.Function(namespace, name)
	}
	switch {
	case fault.Is(err, fault.NotFound, ""):
		return target{}, errNoFunction()
	case err != nil:
		return target{}, err
	case t.fn.URL == nil: // its owner has not opened it to HTTP: it looks like none
		return target{}, errNoFunction()
	}
	return t, nil
}

func errNoFunction() error {
	return fault.New(fault.NotFound, "NoSuchURL",
		"no function has this address: `mayfly url NAME` prints a function's address")
}

// hostname returns a Host header's name in lower case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// urlID returns the function URL's id that a host name carries.
func (g *Gateway) urlID(domain string) (string, bool) {
	id, rest, ok := strings.Cut(domain, ".")
	if !ok || len(id) != urlIDLength {
		return "", false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "", false
		}
	}
	if rest == "localhost" {
		return id, true
	}
	rest, ok = strings.CutPrefix(rest, "lambda-url.")
	return id, ok && rest == g.cfg.Region+".localhost"
}

// wirePath returns path and query as the client sent them: what [url.URL] makes
// of the path may be encoded in another way.
func wirePath(r *http.Request) (path, query string) {
	path = r.URL.EscapedPath()
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ = strings.Cut(r.RequestURI, "?")
	}
	if !strings.HasPrefix(path, "/") {
		path = "/"
	}
	return path, r.URL.RawQuery
}

// splitPath takes /fn/<namespace>/<name>/rest apart; rest begins with a slash.
func splitPath(path string) (namespace, name, rest string, ok bool) {
	after, ok := strings.CutPrefix(path, "/fn/")
	if !ok {
		return "", "", "", false
	}
	namespace, after, ok = strings.Cut(after, "/")
	if !ok || namespace == "" {
		return "", "", "", false
	}
	name, rest, _ = strings.Cut(after, "/")
	return namespace, name, "/" + rest, name != ""
}
