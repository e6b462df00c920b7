package inner

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

const (
	tokenHeader = "X-Amz-Security-Token" //nolint:gosec // a header's name
	keyPrefix   = "MAYFUN"
	// The purposes of seals.
	sealToken, sealSecret = "function-token", "function-secret"
)

// claims is what a function's session token says. The node keeps no list of them:
// the token carries everything, under a seal that only the node can make.
type claims struct {
	Environment string `json:"e"`
	Namespace   string `json:"n"`
	Function    string `json:"f"`
	Role        string `json:"r,omitempty"`
}

// keys knows the credentials of functions, and no others: the control plane's are
// unknown here, and these there.
type keys struct{ Sealer }

// Credentials returns what the function of v signs with in the execution
// environment of that id. They are of no use anywhere else.
func (a *API) Credentials(v *function.Version, environment string) *runtimeapi.Credentials {
	c := claims{Environment: environment, Namespace: v.Namespace, Function: v.Function}
	if v.Role != "" {
		c.Role = path.Base(v.Role)
	}
	body, err := json.Marshal(c)
	if err != nil { // strings always marshal
		panic(err)
	}
	token := base64.RawURLEncoding.EncodeToString(body)
	token += "." + a.keys.Seal(sealToken, token)
	return &runtimeapi.Credentials{AccessKeyID: c.accessKeyID(), SecretAccessKey: a.keys.Seal(sealSecret, token), SessionToken: token}
}

func (c claims) accessKeyID() string {
	digest := sha256.Sum256([]byte(c.Environment))
	return keyPrefix + base32.StdEncoding.EncodeToString(digest[:])[:14]
}

func (c claims) identity() auth.Identity {
	role := c.Role
	if role == "" {
		role = c.Function
	}
	return auth.Identity{
		Name: role + "/" + c.Function, Namespace: c.Namespace, AccessKeyID: c.accessKeyID(),
		Role: &auth.AssumedRole{Name: role, ID: c.accessKeyID(), Session: c.Function},
	}
}

// claims reads a token that the node has made.
func (k keys) claims(token string) (c claims, ok bool) {
	body, seal, found := strings.Cut(token, ".")
	if !found || len(token) > auth.MaxSessionTokenBytes || !k.Sealed(sealToken, body, seal) {
		return claims{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	return c, err == nil && json.Unmarshal(raw, &c) == nil
}

// Secret implements [sigv4.Secrets].
func (k keys) Secret(accessKeyID, sessionToken string, _ time.Time) (auth.Identity, string, error) {
	c, ok := k.claims(sessionToken)
	if !ok || c.accessKeyID() != accessKeyID {
		return auth.Identity{}, "", fault.New(fault.Unauthenticated, "UnknownKey",
			"the access key is not this function's: take the one that is in its environment variables")
	}
	return c.identity(), k.Seal(sealSecret, sessionToken), nil
}

// ByToken implements native.Keys: the session token is the bearer's.
func (k keys) ByToken(token string) (auth.Identity, bool) {
	c, ok := k.claims(token)
	return c.identity(), ok
}

// NewSession refuses: a function assumes no roles.
func (k keys) NewSession(string, auth.AssumedRole, time.Time) (auth.Session, error) {
	return auth.Session{}, fault.New(fault.Denied, "AccessDenied", "a function can't assume a role")
}

// withhold takes a token that is of another environment out of the request, so
// that its handler finds the key unknown: a token that got out of its sandbox is
// worth nothing in another.
func (a *API) withhold(r *http.Request, environment string) {
	foreign := func(token string) bool {
		c, ok := a.keys.claims(token)
		return ok && c.Environment != environment
	}
	if foreign(r.Header.Get(tokenHeader)) {
		r.Header.Del(tokenHeader)
	}
	if foreign(r.URL.Query().Get(tokenHeader)) {
		r.URL.RawQuery = ""
	}
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") && foreign(strings.TrimSpace(token)) {
		r.Header.Del("Authorization")
	}
}
