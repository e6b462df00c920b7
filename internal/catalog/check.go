package catalog

import (
	"crypto/rand"
	"regexp"
	"strings"
	"unicode/utf8"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

const (
	maxTagKey   = 128
	maxTagValue = 256
	urlIDLength = 32
)

var (
	namespacePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	sha256Pattern    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	urlIDPattern     = regexp.MustCompile(`^[a-z0-9]{32}$`)
)

// NewURLID makes an id for a function URL: 32 random characters of a-z and
// 0-9, which nobody can guess.
func NewURLID() string {
	// 32 characters of the base-32 text carry 160 random bits.
	return strings.ToLower((rand.Text() + rand.Text())[:urlIDLength])
}

func checkNames(namespace, name string) error {
	if !namespacePattern.MatchString(namespace) {
		return fault.New(fault.Invalid, "Namespace", "the namespace %q is not valid: use 1 to 64 letters, digits, - and _", namespace)
	}
	return function.CheckName(name)
}

func checkCode(code function.Code) error {
	if !sha256Pattern.MatchString(code.SHA256) {
		return fault.New(fault.Invalid, "CodeSha256", "the code's digest %q is not a SHA-256 in lower-case hexadecimal", code.SHA256)
	}
	return nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > function.MaxTags {
		return fault.New(fault.Invalid, "TooManyTags", "%d tags are more than %d", len(tags), function.MaxTags)
	}
	for k, v := range tags {
		switch {
		case k == "" || utf8.RuneCountInString(k) > maxTagKey:
			return fault.New(fault.Invalid, "TagKey", "the tag key %q is not valid: use 1 to %d characters", k, maxTagKey)
		case utf8.RuneCountInString(v) > maxTagValue:
			return fault.New(fault.Invalid, "TagValue", "the value of the tag %q is longer than %d characters", k, maxTagValue)
		}
	}
	return nil
}

// checkFunction checks what belongs to a function and not to its versions.
func (c *Catalog) checkFunction(f *function.Function) error {
	if n := f.ReservedConcurrency; n != nil && *n < 0 {
		return fault.New(fault.Invalid, "ReservedConcurrency", "a reserved concurrency of %d is not valid: use 0 or more", *n)
	}
	if err := checkTags(f.Tags); err != nil {
		return err
	}
	if f.URL == nil {
		return nil
	}
	u := f.URL
	switch {
	case !urlIDPattern.MatchString(u.ID):
		return fault.New(fault.Invalid, "URLID", "the URL id %q is not valid: use 32 characters of a-z and 0-9", u.ID)
	case u.AuthType != "NONE" && u.AuthType != "AWS_IAM":
		return fault.New(fault.Invalid, "URLAuthType", "the auth type %q is not known: use NONE or AWS_IAM", u.AuthType)
	case u.InvokeMode != "BUFFERED" && u.InvokeMode != "RESPONSE_STREAM":
		return fault.New(fault.Invalid, "URLInvokeMode", "the invoke mode %q is not known: use BUFFERED or RESPONSE_STREAM", u.InvokeMode)
	}
	if k, taken := c.view.urls.load(u.ID); taken && k != (key{f.Namespace, f.Name}) {
		return fault.New(fault.AlreadyExists, "URLTaken", "another function has this URL: let a new id be made")
	}
	return nil
}
