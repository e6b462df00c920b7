package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"mayfly.dev/mayfly/internal/function"
)

// corsHeaders are those that the platform speaks for once a URL has a CORS
// policy; what the function says of them gives way.
var corsHeaders = []string{
	"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers",
}

// isPreflight reports whether a browser asks before it sends the real request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// preflightHeader answers a preflight from the policy alone. The origin is added
// as to every response; without it the browser does not send its request.
func preflightHeader(c *function.CORS, r *http.Request) http.Header {
	h := http.Header{}
	if !originAllowed(c, r.Header.Get("Origin")) {
		return h
	}
	methods, headers := listed(c.AllowMethods), listed(c.AllowHeaders)
	if c.AllowCredentials { // browsers take no * with credentials
		if methods == "*" {
			methods = r.Header.Get("Access-Control-Request-Method")
		}
		if headers == "*" {
			headers = r.Header.Get("Access-Control-Request-Headers")
		}
	}
	setIfAny(h, "Access-Control-Allow-Methods", methods)
	setIfAny(h, "Access-Control-Allow-Headers", headers)
	if c.MaxAgeSeconds > 0 {
		h.Set("Access-Control-Max-Age", strconv.Itoa(c.MaxAgeSeconds))
	}
	return h
}

// allowOrigin adds to a response what lets the browser show it to its page.
func allowOrigin(c *function.CORS, r *http.Request, h http.Header) {
	for _, name := range corsHeaders {
		h.Del(name)
	}
	everyone := slices.Contains(c.AllowOrigins, "*") && !c.AllowCredentials
	if !everyone {
		h.Add("Vary", "Origin")
	}
	origin := r.Header.Get("Origin")
	if origin == "" || !originAllowed(c, origin) {
		return
	}
	if everyone {
		origin = "*"
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if c.AllowCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	setIfAny(h, "Access-Control-Expose-Headers", listed(c.ExposeHeaders))
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

func setIfAny(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}
