// Package iam keeps the roles that every AWS tool makes before it deploys a
// function: their trust policies, inline and attached policies and tags. They
// are stored durably and given back as they came, and they are not enforced: a
// caller's rights on this node come from its key alone. Roles can be assumed
// through package sts.
//
// Reads and writes go to the store; two changes of one role at once are
// resolved by its revisions.
package iam

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/api/aws/sts"
	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/fault"
)

// Store keeps the roles. [engine.Bucket] is one.
type Store interface {
	Get(ctx context.Context, key string) (engine.Entry, error)
	Create(ctx context.Context, key string, value []byte) (uint64, error)
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	DeleteRevision(ctx context.Context, key string, revision uint64) error
	Keys(ctx context.Context) ([]string, error)
}

// Config is what the service needs.
type Config struct {
	Store Store
	// Account returns the account that a namespace is shown as.
	Account func(namespace string) string
	Log     *slog.Logger // nil: discard
}

// Service serves IAM.
type Service struct {
	protocol.Query

	roles   roles
	account func(namespace string) string
}

var _ sts.Roles = (*Service)(nil)

// New returns the service.
func New(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{roles: roles{store: cfg.Store}, account: cfg.Account}
	s.Query = protocol.Query{
		Namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
		Version:   "2010-05-08",
		Absent:    absent,
		Log:       cfg.Log,
		Errors:    protocol.QueryErrors(),
		Actions: map[string]protocol.Action{
			"CreateRole":                  s.createRole,
			"GetRole":                     s.getRole,
			"ListRoles":                   s.listRoles,
			"UpdateRole":                  s.updateRole,
			"DeleteRole":                  s.deleteRole,
			"UpdateAssumeRolePolicy":      s.updateAssumeRolePolicy,
			"PutRolePolicy":               s.putRolePolicy,
			"GetRolePolicy":               s.getRolePolicy,
			"ListRolePolicies":            s.listRolePolicies,
			"DeleteRolePolicy":            s.deleteRolePolicy,
			"AttachRolePolicy":            s.attachRolePolicy,
			"DetachRolePolicy":            s.detachRolePolicy,
			"ListAttachedRolePolicies":    s.listAttachedRolePolicies,
			"ListInstanceProfilesForRole": s.listInstanceProfilesForRole,
			"TagRole":                     s.tagRole,
			"UntagRole":                   s.untagRole,
			"ListRoleTags":                s.listRoleTags,
		},
	}
	return s
}

// Assumable implements [sts.Roles].
func (s *Service) Assumable(ctx context.Context, namespace, name string) (sts.Role, error) {
	role, _, err := s.roles.get(ctx, namespace, name)
	if err != nil {
		return sts.Role{}, err
	}
	return sts.Role{
		ARN: role.arn(s.account(namespace)), ID: role.ID,
		MaxSession: time.Duration(role.MaxSessionSeconds) * time.Second,
	}, nil
}

func noSuchRole(name string) error {
	return fault.New(fault.NotFound, "RoleNotFound", "The role with name %.64s cannot be found.", name)
}

func invalid(format string, args ...any) error {
	return protocol.Errorf(http.StatusBadRequest, "ValidationError", format, args...)
}

func limitExceeded(format string, args ...any) error {
	return protocol.Errorf(http.StatusConflict, "LimitExceeded", format, args...)
}
