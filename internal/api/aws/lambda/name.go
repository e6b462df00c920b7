package lambda

import (
	"net/http"
	"regexp"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// The patterns of function references and qualifiers, as AWS words them in its
// errors.
const (
	namePattern      = `(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`
	strictPattern    = `(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?`
	qualifierPattern = `(|[a-zA-Z0-9$_-]+)`
	maxReference     = 140
)

var (
	nameRegexp      = regexp.MustCompile(`^(?:(?:arn:aws[a-zA-Z-]*:lambda:)?([a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9_.-]+)(?::(\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]+))?$`)
	qualifierRegexp = regexp.MustCompile(`^[a-zA-Z0-9$_-]{1,128}$`)
	numberRegexp    = regexp.MustCompile(`^[0-9]+$`)
)

// reference reads the function that a request names, in one of AWS's forms, and
// the qualifier that may come with it in two places. What is wrong with it is
// found in the order in which AWS does: length, pattern, region, account,
// qualifier.
func (s *Service) reference(c *call, raw, qualifier string) (function.Ref, error) {
	if len(raw) > maxReference {
		return function.Ref{}, violation(raw, "functionName", "Member must have length less than or equal to %d", maxReference)
	}
	m := nameRegexp.FindStringSubmatch(raw)
	if m == nil {
		return function.Ref{}, violation(raw, "functionName", "Member must satisfy regular expression pattern: %s", namePattern)
	}
	region, account, name, derived := m[1], m[2], m[3], m[4]
	if region != "" && region != s.Region {
		return function.Ref{}, notFoundf("Functions from '%s' are not reachable in this region ('%s')", region, s.Region)
	}
	if account != "" && account != c.Account {
		return function.Ref{}, protocol.Errorf(http.StatusForbidden, "AccessDeniedException",
			"User: arn:aws:iam::%s:user/%s is not authorized to access the functions of account %s", c.Account, c.Identity.Name, account)
	}
	if qualifier != "" && qualifier != publishedLatest && !qualifierRegexp.MatchString(qualifier) {
		return function.Ref{}, violation(qualifier, "qualifier", "Member must satisfy regular expression pattern: %s", qualifierPattern)
	}
	if derived != "" && qualifier != "" && derived != qualifier {
		return function.Ref{}, invalidf("The derived qualifier from the function name does not match the specified qualifier.")
	}
	if qualifier == "" {
		qualifier = derived
	}
	return function.Ref{Namespace: c.Identity.Namespace, Name: name, Qualifier: qualifier}, nil
}

// named is [Service.reference] for the usual place of name and qualifier.
func (s *Service) named(c *call) (function.Ref, error) {
	return s.reference(c, c.params[0], c.URL.Query().Get("Qualifier"))
}

// unqualified is [Service.named] for operations on whole functions.
func (s *Service) unqualified(c *call) (function.Ref, error) {
	ref, err := s.named(c)
	if err == nil && ref.Qualifier != "" {
		err = invalidf("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. " +
			"Please specify either a function name or an unqualified function ARN.")
	}
	return ref, err
}

// find returns the function that ref names. The only version that exists is
// $LATEST.
func (s *Service) find(c *call, ref function.Ref) (*function.Function, error) {
	if ref.Qualifier != "" && ref.Qualifier != function.Latest {
		return nil, s.missing(c, ref)
	}
	f, err := s.Catalog.Function(ref.Namespace, ref.Name)
	if fault.Is(err, fault.NotFound, "") {
		return nil, s.missing(c, ref)
	}
	return f, err
}

func (s *Service) missing(c *call, ref function.Ref) error {
	return notFoundf("Function not found: %s", s.arn(c, ref.Name, ref.Qualifier))
}

// known is find for a reference in the usual place.
func (s *Service) known(c *call) (*function.Function, function.Ref, error) {
	ref, err := s.named(c)
	if err != nil {
		return nil, ref, err
	}
	f, err := s.find(c, ref)
	return f, ref, err
}
