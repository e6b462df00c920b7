package gateway

import (
	"bytes"
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
	// port is the host's port, 80 if it names none.
	port string
	// path is what the function sees of the path, percent-encoded as it came.
	path []byte
}

// route finds the function by host (<id>.localhost or
// <id>.lambda-url.<region>.localhost) or else by path (/fn/<namespace>/<name>/).
func (g *Gateway) route(q *request) error {
	t := target{path: q.Path}
	t.domain, t.port = hostname(string(q.Host))
	var err error
	if id, ok := g.urlID(t.domain); ok {
		t.fn, err = g.cfg.Functions.FunctionByURL(id)
	} else {
		namespace, name, rest, ok := splitPath(t.path)
		if !ok {
			return errNoFunction()
		}
		t.path = rest
		t.fn, err = g.cfg.Functions.Function(string(namespace), string(name))
	}
	switch {
	case fault.Is(err, fault.NotFound, ""):
		return errNoFunction()
	case err != nil:
		return err
	case t.fn.URL == nil: // its owner has not opened it to HTTP: it looks like none
		return errNoFunction()
	}
	q.target = t
	return nil
}

func errNoFunction() error {
	return fault.New(fault.NotFound, "NoSuchURL",
		"no function has this address: `mayfly url NAME` prints a function's address")
}

// hostname returns a Host header's name in lower case, and its port.
func hostname(host string) (name, port string) {
	name, port, ok := cutPort(host)
	if !ok {
		name, port = host, "80"
	}
	return strings.TrimSuffix(strings.ToLower(name), "."), port
}

// cutPort is [net.SplitHostPort] that does not pay for an error: most hosts have
// no port in production.
func cutPort(host string) (name, port string, ok bool) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 {
		return "", "", false
	}
	name, port = host[:i], host[i+1:]
	if n := len(name); n >= 2 && name[0] == '[' && name[n-1] == ']' {
		name = name[1 : n-1]
	} else if strings.IndexByte(name, ':') >= 0 {
		return "", "", false
	}
	if strings.ContainsAny(name, "[]") || strings.ContainsAny(port, "[]") {
		return "", "", false
	}
	return name, port, true
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
	if !ok {
		return "", false
	}
	region, ok := strings.CutSuffix(rest, ".localhost")
	return id, ok && region == g.cfg.Region
}

var slash = []byte("/")

// splitPath takes /fn/<namespace>/<name>/rest apart; rest begins with a slash.
func splitPath(path []byte) (namespace, name, rest []byte, ok bool) {
	after, ok := bytes.CutPrefix(path, []byte("/fn/"))
	if !ok {
		return nil, nil, nil, false
	}
	namespace, after, ok = bytes.Cut(after, slash)
	if !ok || len(namespace) == 0 {
		return nil, nil, nil, false
	}
	name, rest = after, slash
	if i := bytes.IndexByte(after, '/'); i >= 0 {
		name, rest = after[:i], after[i:]
	}
	return namespace, name, rest, len(name) > 0
}
