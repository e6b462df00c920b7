package sigv4

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

// maxAuthorization bounds the Authorization header that is looked at.
const maxAuthorization = 8 << 10

var (
	hexDigest   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	datePattern = regexp.MustCompile(`^[0-9]{8}$`)
	tokenChars  = regexp.MustCompile("^[a-z0-9!#$%&'*+.^_`|~-]+$") // a header's name, in lower case
)

// parts is what a request says about its signature.
type parts struct {
	accessKeyID           string
	date, region, service string // of the credential scope
	signedHeaders         []string
	signature             string
	sessionToken          string
	time                  time.Time
	expires               time.Duration // of the presigned form; 0: header form
}

func (p parts) scope() string {
	return p.date + "/" + p.region + "/" + p.service + "/aws4_request"
}

func parse(h http.Header, query url.Values) (parts, error) {
	header, presigned := h["Authorization"], query.Has("X-Amz-Signature") || query.Has("X-Amz-Algorithm")
	switch {
	case len(header) == 0 && !presigned:
		return parts{}, fault.New(fault.Unauthenticated, MissingToken, "Missing Authentication Token")
	case len(header) > 1 || len(header) == 1 && presigned:
		return parts{}, incomplete("The request is signed more than once.")
	case presigned:
		return parseQuery(query)
	default:
		return parseHeader(header[0], h)
	}
}

// parseHeader reads the header form: the Authorization header and those that
// belong to it.
func parseHeader(authorization string, h http.Header) (parts, error) {
	p, err := parseAuthorization(authorization)
	if err != nil {
		return parts{}, err
	}
	if p.sessionToken, err = single(h, "X-Amz-Security-Token"); err != nil {
		return parts{}, err
	}
	date, err := single(h, "X-Amz-Date")
	if err != nil {
		return parts{}, err
	}
	if date != "" {
		p.time, err = parseTime(date)
		return p, err
	}
	if date, err = single(h, "Date"); err != nil {
		return parts{}, err
	}
	if p.time, err = http.ParseTime(date); err != nil {
		return parts{}, incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	p.time = p.time.UTC()
	return p, nil
}

func single(h http.Header, name string) (string, error) {
	values := h.Values(name)
	if len(values) > 1 {
		return "", incomplete("The header '%s' occurs more than once.", name)
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], nil
}

// parseAuthorization reads the Authorization header's value.
func parseAuthorization(s string) (parts, error) {
	if len(s) > maxAuthorization {
		return parts{}, incomplete("The Authorization header is longer than %d bytes.", maxAuthorization)
	}
	name, rest, _ := strings.Cut(s, " ")
	if name != algorithm {
		return parts{}, incomplete("The Authorization header must use the algorithm %s.", algorithm)
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if !ok {
			return parts{}, incomplete("A part of the Authorization header is not a valid key=value pair (missing equal-sign).")
		}
		if _, twice := fields[key]; twice {
			return parts{}, incomplete("The Authorization header has '%s' more than once.", clip(key))
		}
		fields[key] = value
	}
	for _, key := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[key] == "" {
			return parts{}, incomplete("Authorization header requires '%s' parameter.", key)
		}
	}
	return newParts(fields["Credential"], fields["SignedHeaders"], fields["Signature"])
}

// parseQuery reads the presigned form.
func parseQuery(query url.Values) (parts, error) {
	for _, key := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if len(query[key]) != 1 {
			return parts{}, incomplete("AWS query-string parameters must include '%s' once.", key)
		}
	}
	if len(query["X-Amz-Security-Token"]) > 1 {
		return parts{}, incomplete("AWS query-string parameters may include 'X-Amz-Security-Token' once.")
	}
	if query.Get("X-Amz-Algorithm") != algorithm {
		return parts{}, incomplete("X-Amz-Algorithm must be %s.", algorithm)
	}
	p, err := newParts(query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders"), query.Get("X-Amz-Signature"))
	if err != nil {
		return parts{}, err
	}
	if p.time, err = parseTime(query.Get("X-Amz-Date")); err != nil {
		return parts{}, err
	}
	seconds, err := strconv.ParseUint(query.Get("X-Amz-Expires"), 10, 32)
	if err != nil || seconds == 0 || time.Duration(seconds)*time.Second > maxExpires {
		return parts{}, incomplete("X-Amz-Expires must be a number of seconds from 1 to %d.", int(maxExpires.Seconds()))
	}
	p.expires = time.Duration(seconds) * time.Second
	p.sessionToken = query.Get("X-Amz-Security-Token")
	return p, nil
}

// newParts reads the three texts that both forms have.
func newParts(credential, signedHeaders, signature string) (parts, error) {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || slices.Contains(scope, "") || !datePattern.MatchString(scope[1]) || scope[4] != "aws4_request" {
		return parts{}, incomplete("Credential must have the form ACCESS-KEY-ID/YYYYMMDD/REGION/SERVICE/aws4_request.")
	}
	headers := strings.Split(signedHeaders, ";")
	for i, name := range headers {
		if !tokenChars.MatchString(name) || i > 0 && headers[i-1] >= name {
			return parts{}, incomplete("SignedHeaders must be header names in lower case, sorted, separated by ';'.")
		}
	}
	if !hexDigest.MatchString(signature) {
		return parts{}, incomplete("Signature must be 64 hexadecimal digits in lower case.")
	}
	return parts{
		accessKeyID: scope[0], date: scope[1], region: scope[2], service: scope[3],
		signedHeaders: headers, signature: signature,
	}, nil
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(timeFormat, s)
	if err != nil {
		return time.Time{}, incomplete("Date must be in ISO-8601 'basic format', such as %s.", timeFormat)
	}
	return t, nil
}

// clip shortens foreign text that is quoted in an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

func incomplete(format string, args ...any) error {
	return fault.New(fault.Unauthenticated, Incomplete, format, args...)
}
