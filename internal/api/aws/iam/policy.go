package iam

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/fault"
)

var policyARN = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:iam::(?:\d{12}|aws):policy/[!-~]{1,600}$`)

// checkDocument checks that a policy is JSON of the shape that policies have.
// What it says is kept, not understood.
func checkDocument(document string) error {
	var d struct{ Statement json.RawMessage }
	if json.Unmarshal([]byte(document), &d) != nil || len(d.Statement) == 0 {
		return protocol.Errorf(http.StatusBadRequest, "MalformedPolicyDocument", "Syntax errors in policy.")
	}
	return nil
}

func checkTrust(document string) error {
	if document == "" {
		return invalid("1 validation error detected: Value null at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null")
	}
	if len(document) > maxTrustBytes {
		return limitExceeded("Cannot exceed quota for ACLSizePerRole: %d", maxTrustBytes)
	}
	return checkDocument(document)
}

func (s *Service) updateAssumeRolePolicy(r *protocol.Request, f protocol.Form) (any, error) {
	document := f.Get("PolicyDocument")
	if err := checkTrust(document); err != nil {
		return nil, err
	}
	return nil, s.roles.change(r.Context(), r.Identity.Namespace, f.Get("RoleName"), func(role *role) error {
		role.Trust = document
		return nil
	})
}

func (s *Service) putRolePolicy(r *protocol.Request, f protocol.Form) (any, error) {
	name, document := f.Get("PolicyName"), f.Get("PolicyDocument")
	if err := checkName("policyName", name, 128); err != nil {
		return nil, err
	}
	if err := checkDocument(document); err != nil {
		return nil, err
	}
	return nil, s.roles.change(r.Context(), r.Identity.Namespace, f.Get("RoleName"), func(role *role) error {
		if role.Inline == nil {
			role.Inline = map[string]string{}
		}
		role.Inline[name] = document
		size := 0
		for _, d := range role.Inline {
			size += len(d)
		}
		if size > maxInlineBytes {
			return limitExceeded("Maximum policy size of %d bytes exceeded for role %s", maxInlineBytes, role.Name)
		}
		return nil
	})
}

func noSuchPolicy(name string) error {
	return fault.New(fault.NotFound, "PolicyNotFound", "The role policy with name %.128s cannot be found.", name)
}

func (s *Service) getRolePolicy(r *protocol.Request, f protocol.Form) (any, error) {
	role, _, err := s.roles.get(r.Context(), r.Identity.Namespace, f.Get("RoleName"))
	if err != nil {
		return nil, err
	}
	document, ok := role.Inline[f.Get("PolicyName")]
	if !ok {
		return nil, noSuchPolicy(f.Get("PolicyName"))
	}
	return struct{ RoleName, PolicyName, PolicyDocument string }{role.Name, f.Get("PolicyName"), encodeDocument(document)}, nil
}

func (s *Service) listRolePolicies(r *protocol.Request, f protocol.Form) (any, error) {
	role, _, err := s.roles.get(r.Context(), r.Identity.Namespace, f.Get("RoleName"))
	if err != nil {
		return nil, err
	}
	members, next, err := page(f, slices.Sorted(maps.Keys(role.Inline)))
	if err != nil {
		return nil, err
	}
	return struct {
		PolicyNames list[string]
		paging
	}{list[string]{members}, next}, nil
}

func (s *Service) deleteRolePolicy(r *protocol.Request, f protocol.Form) (any, error) {
	name := f.Get("PolicyName")
	return nil, s.roles.change(r.Context(), r.Identity.Namespace, f.Get("RoleName"), func(role *role) error {
		if _, ok := role.Inline[name]; !ok {
			return noSuchPolicy(name)
		}
		delete(role.Inline, name)
		return nil
	})
}

func (s *Service) attachRolePolicy(r *protocol.Request, f protocol.Form) (any, error) {
	arn := f.Get("PolicyArn")
	if !policyARN.MatchString(arn) {
		return nil, protocol.Errorf(http.StatusBadRequest, "InvalidInput", "ARN %.200s is not valid.", arn)
	}
	return nil, s.roles.change(r.Context(), r.Identity.Namespace, f.Get("RoleName"), func(role *role) error {
		if slices.Contains(role.Attached, arn) {
			return nil
		}
		if len(role.Attached) == maxAttached {
			return limitExceeded("Cannot exceed quota for PoliciesPerRole: %d", maxAttached)
		}
		role.Attached = append(role.Attached, arn)
		return nil
	})
}

func (s *Service) detachRolePolicy(r *protocol.Request, f protocol.Form) (any, error) {
	arn := f.Get("PolicyArn")
	return nil, s.roles.change(r.Context(), r.Identity.Namespace, f.Get("RoleName"), func(role *role) error {
		i := slices.Index(role.Attached, arn)
		if i < 0 {
			return fault.New(fault.NotFound, "PolicyNotAttached", "Policy %.200s was not found.", arn)
		}
		role.Attached = slices.Delete(role.Attached, i, i+1)
		return nil
	})
}

type attachedPolicy struct{ PolicyName, PolicyArn string }

func (s *Service) listAttachedRolePolicies(r *protocol.Request, f protocol.Form) (any, error) {
	role, _, err := s.roles.get(r.Context(), r.Identity.Namespace, f.Get("RoleName"))
	if err != nil {
		return nil, err
	}
	attached := make([]attachedPolicy, len(role.Attached))
	for i, arn := range role.Attached {
		attached[i] = attachedPolicy{PolicyName: arn[strings.LastIndexByte(arn, '/')+1:], PolicyArn: arn}
	}
	members, next, err := page(f, attached)
	if err != nil {
		return nil, err
	}
	return struct {
		AttachedPolicies list[attachedPolicy]
		paging
	}{list[attachedPolicy]{members}, next}, nil
}

// listInstanceProfilesForRole answers with none: there are no instances here.
// Tools ask before they delete a role.
func (s *Service) listInstanceProfilesForRole(r *protocol.Request, f protocol.Form) (any, error) {
	if _, _, err := s.roles.get(r.Context(), r.Identity.Namespace, f.Get("RoleName")); err != nil {
		return nil, err
	}
	return struct {
		InstanceProfiles struct{}
		paging
	}{}, nil
}
