package lambda

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/language"
)

// violations gathers what is wrong with a request's members, which AWS reports
// together.
type violations []string

func (v *violations) add(value any, member, constraint string, args ...any) {
	*v = append(*v, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: ", quote(value), member)+fmt.Sprintf(constraint, args...))
}

// quote spells a value as AWS's messages do, shortened if it is long.
func quote(value any) string {
	if value == nil {
		return "null"
	}
	s := fmt.Sprint(value)
	if len(s) > 256 {
		s = s[:256] + "..."
	}
	return "'" + s + "'"
}

func (v *violations) err() error {
	switch len(*v) {
	case 0:
		return nil
	case 1:
		return protocol.Errorf(http.StatusBadRequest, validation, "1 validation error detected: %s", (*v)[0])
	default:
		return protocol.Errorf(http.StatusBadRequest, validation, "%d validation errors detected: %s", len(*v), strings.Join(*v, "; "))
	}
}

func violation(value any, member, constraint string, args ...any) error {
	var v violations
	v.add(value, member, constraint, args...)
	return v.err()
}

func (v *violations) between(value *int, member string, least, most int) {
	switch {
	case value == nil:
	case *value < least:
		v.add(*value, member, "Member must have value greater than or equal to %d", least)
	case *value > most:
		v.add(*value, member, "Member must have value less than or equal to %d", most)
	}
}

func (v *violations) length(value *string, member string, most int) {
	if value != nil && len(*value) > most {
		v.add(*value, member, "Member must have length less than or equal to %d", most)
	}
}

func (v *violations) members(list []string, member string, most int) {
	if len(list) > most {
		v.add(list, member, "Member must have length less than or equal to %d", most)
	}
}

func (v *violations) pattern(value *string, member string, re *regexp.Regexp, shown string) {
	if value != nil && !re.MatchString(*value) {
		v.add(*value, member, "Member must satisfy regular expression pattern: %s", shown)
	}
}

func (v *violations) oneOf(value *string, member string, allowed ...string) {
	if value != nil && !slices.Contains(allowed, *value) {
		v.add(*value, member, "Member must satisfy enum value set: [%s]", strings.Join(allowed, ", "))
	}
}

const (
	rolePattern     = `arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`
	handlerPattern  = `[^\s]+`
	logGroupPattern = `[\.\-_/#A-Za-z0-9]+`
	envNamePattern  = `[a-zA-Z]([a-zA-Z0-9_])+`
)

var (
	roleRegexp     = regexp.MustCompile(`^arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-/]+$`)
	handlerRegexp  = regexp.MustCompile(`^\S+$`)
	logGroupRegexp = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	envNameRegexp  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)
)

// checkRuntime reports a runtime that AWS refuses or that nothing on this node
// can run.
func (s *Service) checkRuntime(runtime string) error {
	if language.Deprecated(runtime) {
		return invalidf("The runtime parameter of %s is no longer supported for creating or updating AWS Lambda functions. "+
			"We recommend you use a supported runtime while creating or updating functions.", runtime)
	}
	_, err := s.Resolve(runtime)
	if fault.Is(err, fault.Invalid, "") {
		return invalidf("Value %.100s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s] or be a valid ARN",
			runtime, strings.Join(language.Identifiers(), ", "))
	}
	return err
}

func checkEnvironment(env map[string]string) error {
	size := 0
	var reserved []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		size += len(name) + len(env[name])
		switch {
		case !envNameRegexp.MatchString(name):
			return violation(name, "environment.variables", "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: %s]", envNamePattern)
		case function.ReservedEnv(name):
			reserved = append(reserved, name)
		}
	}
	const unable = "Lambda was unable to configure your environment variables because the environment variables you have provided "
	if len(reserved) > 0 {
		return invalidf(unable+"contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s",
			strings.Join(reserved, ", "))
	}
	if size > function.MaxEnvBytes {
		measured, err := json.Marshal(env)
		if err != nil {
			return err
		}
		return invalidf(unable+"exceeded the 4KB limit. String measured: %.8192s", measured)
	}
	return nil
}

// decode reads a JSON body into v. An empty body is an empty object.
func decode(body []byte, v any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, v); err != nil {
		return protocol.Errorf(http.StatusBadRequest, invalidContent, "Could not parse request body into json: %v", err)
	}
	return nil
}

// absent is members of requests that mayfly lacks, by name.
type absent map[string]json.RawMessage

// err refuses members that ask for something. Clients send many of them empty.
func (a absent) err() error {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		var v any
		if len(a[name]) > 0 && (json.Unmarshal(a[name], &v) != nil || !empty(v)) {
			return unsupported(name)
		}
	}
	return nil
}

// empty reports whether a JSON value says nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case float64:
		return v == 0
	case []any:
		return !slices.ContainsFunc(v, func(v any) bool { return !empty(v) })
	case map[string]any:
		for _, member := range v {
			if !empty(member) {
				return false
			}
		}
		return true
	default:
		return false
	}
}
