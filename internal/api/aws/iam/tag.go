package iam

import (
	"maps"
	"net/http"
	"slices"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
)

type tag struct{ Key, Value string }

func sortedTags(tags map[string]string) []tag {
	sorted := make([]tag, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		sorted = append(sorted, tag{k, tags[k]})
	}
	return sorted
}

func readTags(f protocol.Form) (map[string]string, error) {
	tags := map[string]string{}
	for _, pair := range f.Pairs("Tags") {
		if _, twice := tags[pair[0]]; twice {
			return nil, protocol.Errorf(http.StatusBadRequest, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if n := len(pair[0]); n == 0 || n > 128 || len(pair[1]) > 256 {
			return nil, invalid("A tag's key must have 1 to 128 characters and its value at most 256.")
		}
		tags[pair[0]] = pair[1]
	}
	return tags, nil
}

func (r *role) tag(tags map[string]string) error {
	if r.Tags == nil {
		r.Tags = map[string]string{}
	}
	maps.Copy(r.Tags, tags)
	if len(r.Tags) > maxTags {
		return limitExceeded("The number of tags has reached the maximum limit.")
	}
	return nil
}

func (s *Service) tagRole(r *protocol.Request, f protocol.Form) (any, error) {
	tags, err := readTags(f)
	if err != nil {
		return nil, err
	}
	return nil, s.roles.change(r.Context(), r.Identity.Namespace, f.Get("RoleName"), func(role *role) error { return role.tag(tags) })
}

func (s *Service) untagRole(r *protocol.Request, f protocol.Form) (any, error) {
	return nil, s.roles.change(r.Context(), r.Identity.Namespace, f.Get("RoleName"), func(role *role) error {
		for _, key := range f.List("TagKeys") {
			delete(role.Tags, key)
		}
		return nil
	})
}

func (s *Service) listRoleTags(r *protocol.Request, f protocol.Form) (any, error) {
	role, _, err := s.roles.get(r.Context(), r.Identity.Namespace, f.Get("RoleName"))
	if err != nil {
		return nil, err
	}
	members, next, err := page(f, sortedTags(role.Tags))
	if err != nil {
		return nil, err
	}
	return struct {
		Tags list[tag]
		paging
	}{list[tag]{members}, next}, nil
}
