// Package sts serves the part of AWS STS that tools call before anything else:
// who am I, and credentials for a role that package iam keeps. Policies, tags
// and trust documents of roles are not evaluated.
package sts

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/fault"
)

const (
	defaultDuration = time.Hour
	minDuration     = 15 * time.Minute
)

var (
	rolePattern    = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:iam::(\d{12}):role/(?:[!-~]*/)?([\w+=,.@-]{1,64})$`)
	sessionPattern = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
)

// Roles finds the roles that can be assumed.
type Roles interface {
	// Assumable returns a role's ARN, id and longest session, or NotFound.
	Assumable(ctx context.Context, namespace, name string) (Role, error)
}

// Role is what STS must know of a role.
type Role struct {
	ARN, ID    string
	MaxSession time.Duration
}

// Sessions makes credentials. [auth.Keys] does.
type Sessions interface {
	NewSession(namespace string, role auth.AssumedRole, expires time.Time) (auth.Session, error)
}

// Config is what the service needs.
type Config struct {
	Roles    Roles
	Sessions Sessions
	Log      *slog.Logger // nil: discard
}

type service struct {
	roles    Roles
	sessions Sessions
}

// New returns the service.
func New(cfg Config) *protocol.Query {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &service{roles: cfg.Roles, sessions: cfg.Sessions}
	return &protocol.Query{
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Version:   "2011-06-15",
		Actions: map[string]protocol.Action{
			"GetCallerIdentity": s.callerIdentity,
			"AssumeRole":        s.assumeRole,
		},
		Absent: []string{
			"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "DecodeAuthorizationMessage",
			"GetAccessKeyInfo", "GetDelegatedAccessToken", "GetFederationToken", "GetSessionToken", "GetWebIdentityToken",
		},
		Errors: protocol.QueryErrors(),
		Log:    cfg.Log,
	}
}

type callerIdentity struct {
	Arn     string
	UserID  string `xml:"UserId"`
	Account string
}

func (s *service) callerIdentity(r *protocol.Request, _ protocol.Form) (any, error) {
	id := callerIdentity{Arn: ARN(r.Account, r.Identity), UserID: r.Identity.AccessKeyID, Account: r.Account}
	if role := r.Identity.Role; role != nil {
		id.UserID = role.ID + ":" + role.Session
	}
	return id, nil
}

// ARN returns the name of a caller.
func ARN(account string, id auth.Identity) string {
	if id.Role != nil {
		return assumedARN(account, id.Role.Name, id.Role.Session)
	}
	return "arn:aws:iam::" + account + ":user/" + id.Name
}

type credentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

type assumedRoleUser struct {
	AssumedRoleID string `xml:"AssumedRoleId"`
	Arn           string
}

type assumeRoleResult struct {
	Credentials     credentials
	AssumedRoleUser assumedRoleUser
}

func (s *service) assumeRole(r *protocol.Request, f protocol.Form) (any, error) {
	for _, absent := range []string{"Policy", "PolicyArns", "SerialNumber", "TokenCode", "ProvidedContexts", "SourceIdentity"} {
		if f.HasPrefix(absent) {
			return nil, protocol.NotImplemented("AssumeRole with " + absent)
		}
	}
	arn, session := f.Get("RoleArn"), f.Get("RoleSessionName")
	match := rolePattern.FindStringSubmatch(arn)
	if match == nil {
		return nil, fault.New(fault.Invalid, "RoleArn", "%.200q is not a role's ARN, such as arn:aws:iam::%s:role/name", arn, r.Account)
	}
	if !sessionPattern.MatchString(session) {
		return nil, fault.New(fault.Invalid, "RoleSessionName", "RoleSessionName must be 2 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -")
	}
	role, err := s.roles.Assumable(r.Context(), r.Identity.Namespace, match[2])
	if match[1] != r.Account || fault.Is(err, fault.NotFound, "") || err == nil && role.ARN != arn {
		return nil, protocol.Errorf(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s",
			"arn:aws:iam::"+r.Account+":user/"+r.Identity.Name, arn)
	}
	if err != nil {
		return nil, err
	}
	duration, err := sessionDuration(f.Get("DurationSeconds"), role.MaxSession)
	if err != nil {
		return nil, err
	}
	made, err := s.sessions.NewSession(r.Identity.Namespace, auth.AssumedRole{Name: match[2], ID: role.ID, Session: session}, time.Now().Add(duration))
	if err != nil {
		return nil, err
	}
	return assumeRoleResult{
		Credentials: credentials{
			AccessKeyID: made.AccessKeyID, SecretAccessKey: made.SecretAccessKey,
			SessionToken: made.Token, Expiration: made.Expires.Format(time.RFC3339),
		},
		AssumedRoleUser: assumedRoleUser{AssumedRoleID: role.ID + ":" + session, Arn: assumedARN(r.Account, match[2], session)},
	}, nil
}

func sessionDuration(s string, most time.Duration) (time.Duration, error) {
	if s == "" {
		return min(defaultDuration, most), nil
	}
	seconds, err := strconv.ParseUint(s, 10, 32)
	duration := time.Duration(seconds) * time.Second
	if err != nil || duration < minDuration {
		return 0, fault.New(fault.Invalid, "DurationSeconds", "DurationSeconds must be a number of at least %d", int(minDuration.Seconds()))
	}
	if duration > most {
		return 0, fault.New(fault.Invalid, "DurationSeconds", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return duration, nil
}

func assumedARN(account, role, session string) string {
	return "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + session
}
