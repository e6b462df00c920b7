package http1

import "net/http"

// refusal is why a request is not served: a status, a word for programs and a
// sentence for people. The connection is closed behind it, since nobody knows
// where the next request would begin.
type refusal struct {
	status         int
	reason, detail string
}

func (r *refusal) Error() string { return "http1: " + r.detail }

func malformed(detail string) *refusal {
	return &refusal{http.StatusBadRequest, "MalformedRequest", detail}
}

var (
	errHeadersTooLarge = &refusal{
		http.StatusRequestHeaderFieldsTooLarge, "HeadersTooLarge", "the request's headers are too large: send less than 64 KiB in less than 256 lines",
	}
	errTargetTooLong = &refusal{http.StatusRequestURITooLong, "TargetTooLong", "the request's first line is longer than 32 KiB"}
	errVersion       = &refusal{
		http.StatusHTTPVersionNotSupported, "UnsupportedVersion", "this address speaks HTTP/1.1 and HTTP/1.0: do not begin with HTTP/2",
	}
	errEncoding    = &refusal{http.StatusNotImplemented, "UnsupportedEncoding", "the only transfer encoding that requests may have is chunked"}
	errConnect     = &refusal{http.StatusNotImplemented, "ConnectUnsupported", "this is no proxy: CONNECT is not served"}
	errExpectation = &refusal{http.StatusExpectationFailed, "Expectation", "the only expectation that is met is 100-continue"}
	errHeadTimeout = &refusal{http.StatusRequestTimeout, "RequestTimeout", "the request's headers took too long to arrive"}
	errConnections = &refusal{
		http.StatusServiceUnavailable, "TooManyConnections", "the node has as many connections as it may have: try again in a moment",
	}
	errUnanswered = &refusal{http.StatusInternalServerError, "Internal", "the platform failed to handle the request"}
)
