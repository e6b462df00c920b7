package inner

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
)

// allowed are the actions of AWS's services that a function may do, on what is in
// its own namespace.
var allowed = map[string]bool{
	"lambda:InvokeFunction": true,
	"sts:GetCallerIdentity": true,
}

// isNativeInvoke reports whether a request of the native API invokes a function.
func isNativeInvoke(r *http.Request) bool {
	parts := strings.Split(r.URL.Path, "/") // "", v1, namespaces, {namespace}, functions, {name}, invocations
	return r.Method == http.MethodPost && len(parts) == 7 &&
		parts[2] == "namespaces" && parts[4] == "functions" && parts[6] == "invocations"
}

// denyNative refuses what else the native API has.
func denyNative(w http.ResponseWriter, r *http.Request) {
	p := wire.NewProblem(fault.New(fault.Denied, "ActionDenied",
		"a function may invoke functions of its namespace and do nothing else: %s %.200s is not for it", r.Method, r.URL.Path), uuid.NewString())
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers always marshal
		panic(err)
	}
	w.Header().Set(wire.HeaderRequestID, p.RequestID)
	w.Header().Set("Content-Type", wire.ProblemType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone can't be told
}
