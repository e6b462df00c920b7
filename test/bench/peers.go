package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// watchdogArgument makes this program a watchdog.
const watchdogArgument = "watchdog"

// watchdog is the least that a platform of the watchdog kind does: it starts a
// function's server as a process and hands requests on to it with the standard
// library's reverse proxy. It measures, logs and isolates nothing.
func watchdog(args []string) error {
	s, err := startDirect(context.Background(), args[0], args[1:]...)
	if err != nil {
		return err
	}
	defer s.stop()
	proxy := reverseProxy(s.address)
	return serve(proxy)
}

// reverseProxy hands requests on to address, with as many idle connections as it
// needs.
func reverseProxy(address string) http.Handler {
	to := &url.URL{Scheme: "http", Host: address}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: 1024, DisableCompression: true},
	}
}

const workerdConfig = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .hello)],
  sockets = [(name = "http", address = "%s", http = (), service = "main")],
);
const hello :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-01-01",
);
`

const workerdScript = `export default {
  async fetch() { return new Response("hello", { headers: { "content-type": "text/plain" } }); },
};
`

// workerdPattern is where scripts/setup.sh leaves workerd.
const workerdPattern = ".cache/workerd/node_modules/@cloudflare/workerd-*/bin/workerd"

// errNoWorkerd says that there is no workerd on this machine.
var errNoWorkerd = errors.New("workerd is not installed: scripts/setup.sh bench installs it with npm")

// startWorkerd runs a hello worker. Its isolates share a process.
func (b *bench) startWorkerd(ctx context.Context) (*direct, error) {
	found, err := filepath.Glob(workerdPattern)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errNoWorkerd
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "workerd")
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	config := filepath.Join(dir, "config.capnp")
	if err := errors.Join(
		os.WriteFile(config, fmt.Appendf(nil, workerdConfig, address), 0o600),
		os.WriteFile(filepath.Join(dir, "worker.js"), []byte(workerdScript), 0o600),
	); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	var output strings.Builder
	s := &direct{target: target{address, address}, cmd: exec.CommandContext(running, found[0], "serve", config), cancel: cancel}
	s.cmd.Stdout, s.cmd.Stderr = &output, &output
	if err := s.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start workerd: %w", err)
	}
	s.pid = s.cmd.Process.Pid
	for deadline := time.Now().Add(startTimeout); ; {
		if _, _, err = once(ctx, s.target, "/"); err == nil {
			return s, nil
		}
		if time.Now().After(deadline) {
			s.stop()
			return nil, fmt.Errorf("workerd does not answer: %w; its output:\n%s", err, output.String())
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			s.stop()
			return nil, err
		}
	}
}
