package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// canonicalHead returns the canonical request up to the payload's digest.
func canonicalHead(r *http.Request, query url.Values, signed []string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + canonicalPath(wirePath(r)) + "\n" + canonicalQuery(query) + "\n")
	for _, name := range signed {
		b.WriteString(name + ":" + canonicalHeader(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(signed, ";") + "\n")
	return b.String()
}

// wirePath returns the path as the client sent it: what [url.URL] makes of it
// may be encoded in another way.
func wirePath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	if path := r.URL.EscapedPath(); path != "" {
		return path
	}
	return "/"
}

// canonicalPath encodes the wire's path once more, as every service but
// Amazon S3 has it.
func canonicalPath(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = escape(s)
	}
	return strings.Join(segments, "/")
}

// canonicalQuery encodes and sorts what the handlers will read, without the
// signature itself.
func canonicalQuery(query url.Values) string {
	var pairs []string
	for key, values := range query {
		if key == "X-Amz-Signature" {
			continue
		}
		for _, value := range values {
			pairs = append(pairs, escape(key)+"="+escape(value))
		}
	}
	// "=" sorts after some characters of a key, so whole pairs would sort wrongly.
	slices.SortFunc(pairs, func(a, b string) int {
		aKey, aValue, _ := strings.Cut(a, "=")
		bKey, bValue, _ := strings.Cut(b, "=")
		if c := strings.Compare(aKey, bKey); c != 0 {
			return c
		}
		return strings.Compare(aValue, bValue)
	})
	return strings.Join(pairs, "&")
}

// canonicalHeader returns a header's values, each without outer blanks and with
// single inner ones. The server took two headers out of the map.
func canonicalHeader(r *http.Request, name string) string {
	values := r.Header.Values(name)
	switch {
	case name == "host":
		values = []string{r.Host}
	case name == "content-length" && len(values) == 0:
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = collapse(v)
	}
	return strings.Join(trimmed, ",")
}

// collapse removes outer blanks and makes every run of inner ones a single one.
func collapse(s string) string {
	s = strings.TrimSpace(s)
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

const upperHex = "0123456789ABCDEF"

// escape percent-encodes all but the unreserved characters of RFC 3986.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}
