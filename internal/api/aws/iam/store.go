package iam

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/fault"
)

// The quotas, which are AWS's.
const (
	maxRoles          = 1000
	maxTrustBytes     = 4096
	maxInlineBytes    = 10240
	maxAttached       = 20
	maxTags           = 50
	defaultMaxSession = 3600
)

// role is a stored role.
type role struct {
	Name              string            `json:"name"`
	Path              string            `json:"path"`
	ID                string            `json:"id"`
	Description       string            `json:"description,omitempty"`
	Trust             string            `json:"trust"`
	MaxSessionSeconds int               `json:"maxSessionSeconds"`
	Inline            map[string]string `json:"inline,omitempty"`
	Attached          []string          `json:"attached,omitempty"` // policy ARNs
	Tags              map[string]string `json:"tags,omitempty"`
	Created           time.Time         `json:"created"`
}

func (r *role) arn(account string) string {
	return "arn:aws:iam::" + account + ":role" + r.Path + r.Name
}

// roles reads and writes roles.
type roles struct{ store Store }

// key is a role's key. Names are unique without regard to case, and have
// characters that a key can't have.
func key(namespace, name string) string {
	return namespace + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.ToLower(name)))
}

func (s roles) get(ctx context.Context, namespace, name string) (*role, uint64, error) {
	if err := checkName("roleName", name, 64); err != nil {
		return nil, 0, err
	}
	entry, err := s.store.Get(ctx, key(namespace, name))
	if fault.Is(err, fault.NotFound, "") {
		return nil, 0, noSuchRole(name)
	}
	if err != nil {
		return nil, 0, err
	}
	r, err := decode(entry)
	return r, entry.Revision, err
}

func decode(entry engine.Entry) (*role, error) {
	var r role
	if err := json.Unmarshal(entry.Value, &r); err != nil {
		return nil, fmt.Errorf("decode role %s: %w", entry.Key, err)
	}
	return &r, nil
}

func (s roles) create(ctx context.Context, namespace string, r *role) error {
	keys, err := s.keys(ctx, namespace)
	if err != nil {
		return err
	}
	if len(keys) >= maxRoles {
		return limitExceeded("Cannot exceed quota for RolesPerAccount: %d", maxRoles)
	}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = s.store.Create(ctx, key(namespace, r.Name), value)
	if fault.Is(err, fault.AlreadyExists, "") {
		return fault.Wrap(err, fault.AlreadyExists, "RoleExists", "Role with name %s already exists.", r.Name)
	}
	return err
}

// change applies f to a role. If somebody else was faster it is tried anew.
func (s roles) change(ctx context.Context, namespace, name string, f func(*role) error) error {
	const attempts = 10
	for attempt := 1; ; attempt++ {
		r, revision, err := s.get(ctx, namespace, name)
		if err != nil {
			return err
		}
		if err := f(r); err != nil {
			return err
		}
		value, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = s.store.Update(ctx, key(namespace, name), value, revision)
		if attempt == attempts || !fault.Is(err, fault.Conflict, "") {
			return err
		}
	}
}

func (s roles) remove(ctx context.Context, namespace, name string, allowed func(*role) error) error {
	r, revision, err := s.get(ctx, namespace, name)
	if err != nil {
		return err
	}
	if err := allowed(r); err != nil {
		return err
	}
	return s.store.DeleteRevision(ctx, key(namespace, name), revision)
}

func (s roles) keys(ctx context.Context, namespace string) ([]string, error) {
	keys, err := s.store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, namespace+".") }), nil
}

// list returns a namespace's roles, sorted by name.
func (s roles) list(ctx context.Context, namespace string) ([]*role, error) {
	keys, err := s.keys(ctx, namespace)
	if err != nil {
		return nil, err
	}
	all := make([]*role, 0, len(keys))
	for _, k := range keys {
		entry, err := s.store.Get(ctx, k)
		if fault.Is(err, fault.NotFound, "") {
			continue // deleted since it was listed
		}
		if err != nil {
			return nil, err
		}
		r, err := decode(entry)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *role) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
