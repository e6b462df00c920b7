package native

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"mayfly.dev/mayfly/internal/fault"
)

// authenticate lets a call pass whose bearer token is known, and only into the
// namespace that the token belongs to.
func (a *API) authenticate(ctx huma.Context, next func(huma.Context)) {
	c := callOf(ctx.Context())
	if err := a.admit(c, ctx.Header("Authorization"), ctx.Param("namespace")); err != nil {
		writeProblem(c.writer, a.problem(ctx.Context(), err).Problem)
		return
	}
	next(recoded{ctx})
}

func (a *API) admit(c *call, authorization, namespace string) error {
	scheme, token, _ := strings.Cut(authorization, " ")
	if authorization == "" || !strings.EqualFold(scheme, "Bearer") {
		return fault.New(fault.Unauthenticated, "TokenMissing",
			"the call carries no token: send \"Authorization: Bearer\" with the token that `mayfly credentials` prints")
	}
	identity, ok := a.cfg.Keys.ByToken(strings.TrimSpace(token))
	if !ok {
		return fault.New(fault.Unauthenticated, "TokenUnknown",
			"the token is not known to this node: take the one that `mayfly credentials` prints")
	}
	if namespace != "" && namespace != identity.Namespace {
		return fault.New(fault.Denied, "NamespaceDenied",
			"the token belongs to the namespace %q and can't be used in %q", identity.Namespace, namespace)
	}
	c.identity = identity
	return nil
}
