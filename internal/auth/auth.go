// Package auth knows who may call this node: the keys that it made at its first
// start, and the short-lived sessions derived from them. It leaves to its
// callers how a credential travels (package sigv4 for AWS signatures, bearer
// tokens for the native API) and what an identity is allowed to do.
//
// [Keys] is safe for concurrent use: it is read once and never changed.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/fault"
)

// Identity is an authenticated caller.
type Identity struct {
	// Name is the key's name, or role/session for an assumed role.
	Name string
	// Namespace is the tenant that the caller acts in.
	Namespace string
	// AccessKeyID is the id of the key that the call was made with.
	AccessKeyID string
	// Role is set if the caller acts in an assumed role.
	Role *AssumedRole
}

// AssumedRole is the role that a session was made for.
type AssumedRole struct {
	// Name and ID are the role's, Session is the name that the caller chose.
	Name, ID, Session string
}

// Key is a long-lived credential: an access key pair for signatures and a token
// for bearers, both of one identity.
type Key struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	Token           string `json:"token"`
	Name            string `json:"name"`
	Namespace       string `json:"namespace"`
}

// Identity returns whom k authenticates.
func (k Key) Identity() Identity {
	return Identity{Name: k.Name, Namespace: k.Namespace, AccessKeyID: k.AccessKeyID}
}

// Keys is the set of keys that a node accepts.
type Keys struct {
	keys        []Key
	byAccessKey map[string]Key
	byToken     map[[sha256.Size]byte]Key
	// root is what session secrets and internal signatures derive from.
	root []byte
}

func newKeys(f file) *Keys {
	k := &Keys{
		keys:        f.Keys,
		byAccessKey: make(map[string]Key, len(f.Keys)),
		byToken:     make(map[[sha256.Size]byte]Key, len(f.Keys)),
		root:        f.Root,
	}
	for _, key := range f.Keys {
		k.byAccessKey[key.AccessKeyID] = key
		k.byToken[sha256.Sum256([]byte(key.Token))] = key
	}
	return k
}

// Default returns the key that was made at the node's first start.
func (k *Keys) Default() Key { return k.keys[0] }

// Namespaces lists the namespaces that the keys belong to, sorted.
func (k *Keys) Namespaces() []string {
	seen := map[string]bool{}
	for _, key := range k.keys {
		seen[key.Namespace] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// ByAccessKey returns the long-lived key of an access key id.
func (k *Keys) ByAccessKey(id string) (Key, bool) {
	key, ok := k.byAccessKey[id]
	return key, ok
}

// ByToken returns whom a bearer token belongs to. The time it takes tells
// nothing about the tokens: they are found by digest and compared in constant
// time.
func (k *Keys) ByToken(token string) (Identity, bool) {
	key, ok := k.byToken[sha256.Sum256([]byte(token))]
	if !ok || subtle.ConstantTimeCompare([]byte(key.Token), []byte(token)) != 1 {
		return Identity{}, false
	}
	return key.Identity(), true
}

// Secret returns the secret that a signature by accessKeyID must have been made
// with, and whom it authenticates. A session's id needs its session token; with
// a long-lived key a session token is ignored, since it adds nothing to the
// proof. Faults: Unauthenticated/"UnknownKey" and "ExpiredSession".
func (k *Keys) Secret(accessKeyID, sessionToken string, now time.Time) (Identity, string, error) {
	if key, ok := k.byAccessKey[accessKeyID]; ok {
		return key.Identity(), key.SecretAccessKey, nil
	}
	if sessionToken == "" {
		return Identity{}, "", errUnknownKey()
	}
	return k.session(accessKeyID, sessionToken, now)
}

func errUnknownKey() error {
	return fault.New(fault.Unauthenticated, "UnknownKey",
		"the access key is not known to this node: take the one that `mayfly credentials` prints")
}
