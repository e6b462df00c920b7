package cli

import (
	"cmp"
	"errors"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// systemDataDir is where a node that runs as root keeps its key.
const systemDataDir = "/var/lib/mayfly"

// address returns the base URL of the node's control plane.
func (a *app) address() (string, error) {
	fromEnv, _ := a.env("MAYFLY_ENDPOINT")
	text := cmp.Or(a.endpoint, fromEnv, client.DefaultEndpoint)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fault.New(fault.Invalid, "Endpoint", "the endpoint %q is no address of a node: it looks like %s", text, client.DefaultEndpoint)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// dir returns the data directory that the node's key is looked for in.
func (a *app) dir() string {
	fromEnv, _ := a.env("MAYFLY_DATA_DIR")
	dir := cmp.Or(a.dataDir, fromEnv)
	if dir == "" {
		dir = config.DefaultDataDir()
		if loaded, err := config.Load(config.Sources{Environ: a.Environ}); err == nil { // a file may say so; its faults are the node's
			dir = loaded.Config.DataDir
		}
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return dir
}

// key returns the key that the node left for its own user.
func (a *app) key() (auth.Key, error) {
	dir := a.dir()
	keys, err := auth.ReadKeys(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint := `start it with "mayfly up"`
		if dir != systemDataDir {
			hint += "; if it runs as another user or elsewhere, set MAYFLY_TOKEN, or MAYFLY_DATA_DIR to its data directory"
		}
		return auth.Key{}, fault.Wrap(err, fault.Unauthenticated, "NoCredentials", "no node has been started with the data directory %s: %s", dir, hint)
	case err != nil:
		return auth.Key{}, err
	}
	return keys.Default(), nil
}

// connect returns a client of the node that works in the chosen namespace. Nothing
// is sent yet.
func (a *app) connect() (*client.Client, error) {
	address, err := a.address()
	if err != nil {
		return nil, err
	}
	fromEnv, _ := a.env("MAYFLY_NAMESPACE")
	namespace := cmp.Or(a.namespace, fromEnv)
	token, _ := a.env("MAYFLY_TOKEN")
	if token == "" {
		key, err := a.key()
		if err != nil {
			return nil, err
		}
		token, namespace = key.Token, cmp.Or(namespace, key.Namespace)
	}
	return client.New(client.Config{Endpoint: address, Token: token, Namespace: cmp.Or(namespace, function.DefaultNamespace)})
}
