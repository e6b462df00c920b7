package server

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"

	"mayfly.dev/mayfly/internal/auth"
)

// profilesPath is below /v1/, so that it is no path of another dialect.
const profilesPath = "/v1/debug/pprof/"

// How much the node notes while it is asked for a profile of locks or of waiting;
// it notes nothing otherwise.
const (
	mutexFraction   = 10     // every 10th contended lock
	blockNanosecond = 10_000 // each 10 µs of waiting
)

// profiles serves Go's profiles of the node itself to whoever has the key that the
// node made at its first start: stacks of all namespaces' work are nobody else's
// business.
type profiles struct{ keys *auth.Keys }

func (p profiles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	caller, known := p.keys.ByToken(token)
	if !ok || !known || caller != p.keys.Default().Identity() {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mayfly"`)
		http.Error(w, "profiles need the key that the node made at its first start: send \"Authorization: Bearer\" with its token", http.StatusUnauthorized)
		return
	}
	switch name := strings.TrimPrefix(r.URL.Path, profilesPath); name {
	case "profile":
		pprof.Profile(w, r)
	case "trace":
		pprof.Trace(w, r)
	case "mutex":
		before := runtime.SetMutexProfileFraction(mutexFraction)
		defer runtime.SetMutexProfileFraction(before)
		pprof.Handler(name).ServeHTTP(w, r)
	case "block":
		runtime.SetBlockProfileRate(blockNanosecond)
		defer runtime.SetBlockProfileRate(0)
		pprof.Handler(name).ServeHTTP(w, r)
	default: // allocs, goroutine, heap, threadcreate; 404 for others
		pprof.Handler(name).ServeHTTP(w, r)
	}
}
