package http1

import (
	"bytes"
	"net/http"
	"net/url"
)

// parseTarget takes the request's target apart (RFC 9112, 3.2): /path?query, an
// absolute URL, or the asterisk of OPTIONS.
func (r *Request) parseTarget() error {
	t := r.Target
	r.Host, r.Path, r.Query = nil, nil, nil
	for _, c := range t {
		if c <= ' ' || c == 0x7f {
			return malformed("the request's target has a control character in it")
		}
	}
	if string(t) == "*" && string(r.Method) == http.MethodOptions {
		r.Path = t
		return nil
	}
	if len(t) == 0 || t[0] != '/' {
		var ok bool
		if r.Host, t, ok = cutAuthority(t); !ok {
			return malformed("the request's target is neither a path nor an http URL")
		}
	}
	r.Path, r.Query, _ = bytes.Cut(t, question)
	if len(r.Path) == 0 {
		r.Path = root
	}
	if !validEscapes(r.Path) {
		return malformed("the path has a % that two hexadecimal digits do not follow")
	}
	return nil
}

var (
	question = []byte("?")
	root     = []byte("/")
)

// cutAuthority takes http://authority off a target that net/url takes, too. A user
// name in there is refused (RFC 9110, 4.2.4): @ is no character of a host.
func cutAuthority(t []byte) (authority, rest []byte, ok bool) {
	scheme, after, ok := bytes.Cut(t, []byte("://"))
	if !ok || !EqualFold(scheme, "http") && !EqualFold(scheme, "https") {
		return nil, nil, false
	}
	authority = after
	if i := bytes.IndexAny(after, "/?"); i >= 0 {
		authority, rest = after[:i], after[i:]
	}
	if len(authority) == 0 || !validHost(authority) {
		return nil, nil, false
	}
	_, err := url.ParseRequestURI(string(t))
	return authority, rest, err == nil
}

// validEscapes reports whether two hexadecimal digits follow every %.
func validEscapes(path []byte) bool {
	for {
		i := bytes.IndexByte(path, '%')
		if i < 0 {
			return true
		}
		if len(path) < i+3 || unhex(path[i+1]) < 0 || unhex(path[i+2]) < 0 {
			return false
		}
		path = path[i+3:]
	}
}
