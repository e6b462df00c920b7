package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

// The prefixes of access key ids: of long-lived keys and of sessions.
const (
	keyPrefix     = "MAYFLY"
	sessionPrefix = "MAYSES"
)

// MaxSessionTokenBytes bounds the session tokens that are looked at.
const MaxSessionTokenBytes = 2048

var accessKeyPattern = regexp.MustCompile(`^[A-Z0-9]{16,128}$`)

// Session is a short-lived credential for an assumed role.
type Session struct {
	AccessKeyID     string
	SecretAccessKey string
	// Token travels beside each signature.
	Token   string
	Expires time.Time
}

// claims is what a session token says. The node keeps no list of sessions: the
// token carries everything, under a seal that only the node can make.
type claims struct {
	AccessKeyID string    `json:"k"`
	Namespace   string    `json:"n"`
	RoleName    string    `json:"r"`
	RoleID      string    `json:"i"`
	Name        string    `json:"s"`
	Expires     time.Time `json:"e"`
}

// NewSession returns credentials that act as role in namespace until expires.
// They survive a restart of the node.
func (k *Keys) NewSession(namespace string, role AssumedRole, expires time.Time) (Session, error) {
	c := claims{
		AccessKeyID: sessionPrefix + randomBase32(14),
		Namespace:   namespace,
		RoleName:    role.Name,
		RoleID:      role.ID,
		Name:        role.Session,
		Expires:     expires.UTC().Truncate(time.Second),
	}
	body, err := json.Marshal(c)
	if err != nil {
		return Session{}, err
	}
	token := base64.RawURLEncoding.EncodeToString(body)
	token += "." + k.Seal("session", token)
	return Session{
		AccessKeyID:     c.AccessKeyID,
		SecretAccessKey: k.sessionSecret(token),
		Token:           token,
		Expires:         c.Expires,
	}, nil
}

func (k *Keys) session(accessKeyID, token string, now time.Time) (Identity, string, error) {
	body, seal, ok := strings.Cut(token, ".")
	if !ok || len(token) > MaxSessionTokenBytes || !k.Sealed("session", body, seal) {
		return Identity{}, "", errUnknownKey()
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	var c claims
	if err != nil || json.Unmarshal(raw, &c) != nil || c.AccessKeyID != accessKeyID {
		return Identity{}, "", errUnknownKey()
	}
	if !now.Before(c.Expires) {
		return Identity{}, "", fault.New(fault.Unauthenticated, "ExpiredSession",
			"the session ended at %s: assume the role again", c.Expires.Format(time.RFC3339))
	}
	return Identity{
		Name:        c.RoleName + "/" + c.Name,
		Namespace:   c.Namespace,
		AccessKeyID: c.AccessKeyID,
		Role:        &AssumedRole{Name: c.RoleName, ID: c.RoleID, Session: c.Name},
	}, k.sessionSecret(token), nil
}

func (k *Keys) sessionSecret(token string) string {
	return base64.RawStdEncoding.EncodeToString(k.mac("session-secret", token)[:30])
}

// Seal returns a signature of text by this node, in URL-safe characters. A seal
// holds for its purpose alone.
func (k *Keys) Seal(purpose, text string) string {
	return base64.RawURLEncoding.EncodeToString(k.mac(purpose, text))
}

// Sealed reports whether seal is this node's signature of text for purpose.
func (k *Keys) Sealed(purpose, text, seal string) bool {
	return hmac.Equal([]byte(k.Seal(purpose, text)), []byte(seal))
}

func (k *Keys) mac(purpose, text string) []byte {
	h := hmac.New(sha256.New, k.root)
	h.Write([]byte(purpose + "\x00" + text))
	return h.Sum(nil)
}

// randomBase32 returns n characters of A-Z and 2-7.
func randomBase32(n int) string {
	return base32.StdEncoding.EncodeToString(randomBytes(n))[:n]
}
