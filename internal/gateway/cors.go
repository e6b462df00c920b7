package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"mayfly.dev/mayfly/internal/function"
)

// isPreflight reports whether a browser asks before it sends the real request.
func (q *request) isPreflight() bool {
	return string(q.Method) == http.MethodOptions && len(q.Get("origin")) > 0 && len(q.Get("access-control-request-method")) > 0
}

// preflight answers a preflight from the policy alone. The origin is added as to
// every response; without it the browser does not send its request.
func (g *Gateway) preflight(q *request) {
	c := q.target.fn.URL.CORS
	g.begin(q, http.StatusOK)
	defer q.End(nil)
	if !originAllowed(c, string(q.Get("origin"))) {
		return
	}
	methods, headers := listed(c.AllowMethods), listed(c.AllowHeaders)
	if c.AllowCredentials { // browsers take no * with credentials
		if methods == "*" {
			methods = string(q.Get("access-control-request-method"))
		}
		if headers == "*" {
			headers = string(q.Get("access-control-request-headers"))
		}
	}
	q.fieldIfAny("Access-Control-Allow-Methods", methods)
	q.fieldIfAny("Access-Control-Allow-Headers", headers)
	if c.MaxAgeSeconds > 0 {
		q.Field("Access-Control-Max-Age", strconv.Itoa(c.MaxAgeSeconds))
	}
}

// allowOrigin adds to a response what lets the browser show it to its page.
func (q *request) allowOrigin(c *function.CORS) {
	everyone := slices.Contains(c.AllowOrigins, "*") && !c.AllowCredentials
	if !everyone {
		q.Field("Vary", "Origin")
	}
	origin := string(q.Get("origin"))
	if origin == "" || !originAllowed(c, origin) {
		return
	}
	if everyone {
		origin = "*"
	}
	q.Field("Access-Control-Allow-Origin", origin)
	if c.AllowCredentials {
		q.Field("Access-Control-Allow-Credentials", "true")
	}
	q.fieldIfAny("Access-Control-Expose-Headers", listed(c.ExposeHeaders))
}

func originAllowed(c *function.CORS, origin string) bool {
	return slices.ContainsFunc(c.AllowOrigins, func(allowed string) bool {
		return allowed == "*" || strings.EqualFold(allowed, origin)
	})
}

// listed joins a policy's list; one with a * is that alone.
func listed(values []string) string {
	if slices.Contains(values, "*") {
		return "*"
	}
	return strings.Join(values, ",")
}

func (q *request) fieldIfAny(name, value string) {
	if value != "" {
		q.ForeignField([]byte(name), []byte(value)) // the function's owner wrote it
	}
}
