package iam

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
)

var (
	namePattern = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathPattern = regexp.MustCompile(`^/(?:[!-~]+/)?$`)
)

func checkName(what, name string, most int) error {
	if name == "" || len(name) > most || !namePattern.MatchString(name) {
		return invalid("The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_- and have 1 to %d characters", what, most)
	}
	return nil
}

// shownRole is a role in a reply.
type shownRole struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string // percent-encoded JSON
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int
	Tags                     *list[tag] `xml:",omitempty"`
}

type roleResult struct{ Role shownRole }

func show(r *role, account string) shownRole {
	s := shownRole{
		Path: r.Path, RoleName: r.Name, RoleID: r.ID, Arn: r.arn(account),
		CreateDate:               r.Created.UTC().Format(time.RFC3339),
		AssumeRolePolicyDocument: encodeDocument(r.Trust),
		Description:              r.Description, MaxSessionDuration: r.MaxSessionSeconds,
	}
	if len(r.Tags) > 0 {
		s.Tags = &list[tag]{sortedTags(r.Tags)}
	}
	return s
}

// encodeDocument percent-encodes a policy as IAM's replies do.
func encodeDocument(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

func (s *Service) createRole(r *protocol.Request, f protocol.Form) (any, error) {
	if f.Has("PermissionsBoundary") {
		return nil, protocol.NotImplemented("CreateRole with PermissionsBoundary")
	}
	made := &role{
		Name: f.Get("RoleName"), Path: f.Get("Path"), ID: "AROA" + rand.Text()[:17],
		Description: f.Get("Description"), Trust: f.Get("AssumeRolePolicyDocument"),
		MaxSessionSeconds: defaultMaxSession, Created: time.Now().UTC().Truncate(time.Second),
	}
	if made.Path == "" {
		made.Path = "/"
	}
	if err := checkName("roleName", made.Name, 64); err != nil {
		return nil, err
	}
	if len(made.Path) > 512 || !pathPattern.MatchString(made.Path) {
		return nil, invalid("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	if err := checkTrust(made.Trust); err != nil {
		return nil, err
	}
	if err := made.describe(f); err != nil {
		return nil, err
	}
	tags, err := readTags(f)
	if err != nil {
		return nil, err
	}
	if err := made.tag(tags); err != nil {
		return nil, err
	}
	if err := s.roles.create(r.Context(), r.Identity.Namespace, made); err != nil {
		return nil, err
	}
	return roleResult{show(made, r.Account)}, nil
}

// describe sets the description and the longest session, if they are given.
func (r *role) describe(f protocol.Form) error {
	if f.Has("Description") {
		if r.Description = f.Get("Description"); len(r.Description) > 1000 {
			return invalid("The description must have at most 1000 characters.")
		}
	}
	if f.Has("MaxSessionDuration") {
		seconds, err := strconv.Atoi(f.Get("MaxSessionDuration"))
		if err != nil || seconds < 3600 || seconds > 43200 {
			return invalid("MaxSessionDuration must be a number from 3600 to 43200.")
		}
		r.MaxSessionSeconds = seconds
	}
	return nil
}

func (s *Service) getRole(r *protocol.Request, f protocol.Form) (any, error) {
	got, _, err := s.roles.get(r.Context(), r.Identity.Namespace, f.Get("RoleName"))
	if err != nil {
		return nil, err
	}
	return roleResult{show(got, r.Account)}, nil
}

func (s *Service) listRoles(r *protocol.Request, f protocol.Form) (any, error) {
	all, err := s.roles.list(r.Context(), r.Identity.Namespace)
	if err != nil {
		return nil, err
	}
	prefix := f.Get("PathPrefix")
	shown := make([]shownRole, 0, len(all))
	for _, role := range all {
		if strings.HasPrefix(role.Path, prefix) {
			shown = append(shown, show(role, r.Account))
		}
	}
	members, next, err := page(f, shown)
	if err != nil {
		return nil, err
	}
	return struct {
		Roles list[shownRole]
		paging
	}{list[shownRole]{members}, next}, nil
}

func (s *Service) updateRole(r *protocol.Request, f protocol.Form) (any, error) {
	err := s.roles.change(r.Context(), r.Identity.Namespace, f.Get("RoleName"), func(role *role) error { return role.describe(f) })
	return struct{}{}, err
}

func (s *Service) deleteRole(r *protocol.Request, f protocol.Form) (any, error) {
	return nil, s.roles.remove(r.Context(), r.Identity.Namespace, f.Get("RoleName"), func(role *role) error {
		switch {
		case len(role.Attached) > 0:
			return protocol.Errorf(http.StatusConflict, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
		case len(role.Inline) > 0:
			return protocol.Errorf(http.StatusConflict, "DeleteConflict", "Cannot delete entity, must delete policies first.")
		}
		return nil
	})
}

// list is a list in a reply. Unlike a slice of its own it is there when it is
// empty, as clients expect.
type list[T any] struct {
	Members []T `xml:"member"`
}

// paging says whether more follows.
type paging struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

// page returns the members that the parameters Marker and MaxItems ask for. A
// marker is the number of members that came before.
func page[T any](f protocol.Form, all []T) ([]T, paging, error) {
	start, size := 0, 100
	var err error
	if f.Has("Marker") {
		if start, err = strconv.Atoi(f.Get("Marker")); err != nil || start < 0 || start > len(all) {
			return nil, paging{}, invalid("Invalid Marker.")
		}
	}
	if f.Has("MaxItems") {
		if size, err = strconv.Atoi(f.Get("MaxItems")); err != nil || size < 1 || size > 1000 {
			return nil, paging{}, invalid("MaxItems must be a number from 1 to 1000.")
		}
	}
	if rest := all[start:]; len(rest) <= size {
		return rest, paging{}, nil
	}
	return all[start : start+size], paging{IsTruncated: true, Marker: strconv.Itoa(start + size)}, nil
}
