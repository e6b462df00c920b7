package function

import (
	"fmt"
	"regexp"
	"strings"

	"mayfly.dev/mayfly/internal/fault"
)

// Ref names what to invoke or change: a function, and which of its versions.
type Ref struct {
	Namespace string
	Name      string
	// Qualifier is a version number, an alias, [Latest], or empty for the
	// function itself.
	Qualifier string
}

func (r Ref) String() string {
	if r.Qualifier == "" {
		return r.Name
	}
	return r.Name + ":" + r.Qualifier
}

// ARN is the parsed form of a Lambda function's Amazon Resource Name.
type ARN struct {
	Partition, Region, Account string
	Name, Qualifier            string
}

// String returns arn:aws:lambda:us-east-1:000000000000:function:name, with
// :qualifier if there is one.
func (a ARN) String() string {
	s := fmt.Sprintf("arn:%s:lambda:%s:%s:function:%s", a.Partition, a.Region, a.Account, a.Name)
	if a.Qualifier != "" {
		s += ":" + a.Qualifier
	}
	return s
}

var (
	arnPattern       = regexp.MustCompile(`^arn:(aws[a-zA-Z-]*):lambda:([a-z]{2}(?:-[a-z]+)+-\d):(\d{12}):function:(.+)$`)
	partialPattern   = regexp.MustCompile(`^(\d{12}):function:(.+)$`)
	qualifierPattern = regexp.MustCompile(`^(\$LATEST|[a-zA-Z0-9_-]{1,128})$`)
)

// ParseARN reads a function reference in one of the forms that the Lambda API
// takes: a name, name:qualifier, account:function:name[:qualifier], or a whole
// ARN. Parts that the form leaves out are empty.
func ParseARN(s string) (ARN, error) {
	var a ARN
	rest := s
	if m := arnPattern.FindStringSubmatch(s); m != nil {
		a.Partition, a.Region, a.Account, rest = m[1], m[2], m[3], m[4]
	} else if m := partialPattern.FindStringSubmatch(s); m != nil {
		a.Account, rest = m[1], m[2]
	} else if after, ok := strings.CutPrefix(s, "function:"); ok {
		rest = after
	}
	name, qualifier, qualified := strings.Cut(rest, ":")
	if err := CheckName(name); err != nil {
		return ARN{}, err
	}
	if qualified && !qualifierPattern.MatchString(qualifier) {
		return ARN{}, fault.New(fault.Invalid, "Qualifier", "the qualifier %q is not valid: use $LATEST, a version number or an alias", qualifier)
	}
	a.Name, a.Qualifier = name, qualifier
	return a, nil
}
