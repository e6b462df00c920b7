// Package compat runs the clients that people already have against a real node:
// the AWS SDK for Go, the AWS SDK for JavaScript and the AWS CLI. Its tests are
// the proof of docs/compatibility.md.
package compat

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 45 * time.Second
)

// Node is a mayfly that runs as a process of its own.
type Node struct {
	// Endpoint is the control plane's base URL, Gateway the data plane's.
	Endpoint, Gateway string
	// Region, AccessKeyID and SecretAccessKey are what `mayfly credentials
	// --export` prints.
	Region, AccessKeyID, SecretAccessKey string

	dir    string // binary and data
	cmd    *exec.Cmd
	cancel context.CancelFunc
	log    bytes.Buffer
}

// StartNode builds mayfly, starts it on free ports with an empty data directory
// and waits until it serves. The caller must stop it.
func StartNode(ctx context.Context) (n *Node, err error) {
	dir, err := os.MkdirTemp("", "mayfly-compat-")
	if err != nil {
		return nil, err
	}
	n = &Node{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Stop())
		}
	}()
	if err := n.build(ctx); err != nil {
		return nil, err
	}
	if err := n.start(ctx); err != nil {
		return nil, err
	}
	if err := n.ready(ctx); err != nil {
		return nil, fmt.Errorf("%w; its output:\n%s", err, n.output())
	}
	return n, n.credentials(ctx)
}

func (n *Node) binary() string  { return filepath.Join(n.dir, "mayfly") }
func (n *Node) dataDir() string { return filepath.Join(n.dir, "data") }

func (n *Node) build(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-o", n.binary(), "mayfly.dev/mayfly/cmd/mayfly").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build mayfly: %w\n%s", err, out)
	}
	return nil
}

func (n *Node) start(ctx context.Context) error {
	control, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	gateway, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	n.Endpoint, n.Gateway = "http://"+control, "http://"+gateway
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.cancel = cancel
	n.cmd = exec.CommandContext(running, n.binary(), "up", "--data-dir", n.dataDir(), "--control", control, "--gateway", gateway)
	n.cmd.Stdout, n.cmd.Stderr = &n.log, &n.log
	n.cmd.Cancel = func() error { return n.cmd.Process.Signal(syscall.SIGTERM) }
	n.cmd.WaitDelay = stopTimeout
	if err := n.cmd.Start(); err != nil {
		n.cmd = nil
		return err
	}
	return nil
}

// freeAddress returns a loopback address that nothing listens on now.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (n *Node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if n.probe(ctx) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the node was not ready within %s", startTimeout)
		case <-tick.C:
		}
	}
}

func (n *Node) probe(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.Endpoint+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}

// credentials reads the shell lines that the CLI prints for AWS tools.
func (n *Node) credentials(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, n.binary(), "credentials", "--export")
	cmd.Env = append(os.Environ(), "MAYFLY_DATA_DIR="+n.dataDir(), "MAYFLY_ENDPOINT="+n.Endpoint)
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("mayfly credentials: %w", err)
	}
	exported := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		if ok {
			exported[name] = strings.Trim(value, "'")
		}
	}
	n.Region, n.AccessKeyID, n.SecretAccessKey = exported["AWS_REGION"], exported["AWS_ACCESS_KEY_ID"], exported["AWS_SECRET_ACCESS_KEY"]
	if exported["AWS_ENDPOINT_URL"] != n.Endpoint || n.Region == "" || n.AccessKeyID == "" || n.SecretAccessKey == "" {
		return fmt.Errorf("mayfly credentials --export printed endpoint %q and %d variables", exported["AWS_ENDPOINT_URL"], len(exported))
	}
	return nil
}

// Env is the environment that AWS clients need to reach the node, and nothing
// that could point them elsewhere.
func (n *Node) Env() []string {
	env := []string{
		"AWS_ENDPOINT_URL=" + n.Endpoint, "AWS_REGION=" + n.Region, "AWS_DEFAULT_REGION=" + n.Region,
		"AWS_ACCESS_KEY_ID=" + n.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + n.SecretAccessKey,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"MAYFLY_GATEWAY_PORT=" + strconv.Itoa(n.gatewayPort()),
	}
	for _, kept := range []string{"PATH", "HOME", "TMPDIR", "LANG"} {
		env = append(env, kept+"="+os.Getenv(kept))
	}
	return env
}

func (n *Node) gatewayPort() int {
	_, port, err := net.SplitHostPort(strings.TrimPrefix(n.Gateway, "http://"))
	if err != nil { // made by freeAddress
		panic(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		panic(err)
	}
	return number
}

// Stop ends the node as an operator would, and removes what it left on disk. It
// fails if the node did not end cleanly.
func (n *Node) Stop() error {
	var err error
	if n.cmd != nil {
		n.cancel()
		if waitErr := n.cmd.Wait(); waitErr != nil && !errors.Is(waitErr, context.Canceled) {
			err = fmt.Errorf("the node ended with %w; its output:\n%s", waitErr, n.output())
		}
		n.cmd = nil
	}
	return errors.Join(err, os.RemoveAll(n.dir))
}

// output is what the node printed; it may be read when the node has ended or is
// about to.
func (n *Node) output() string {
	if n.cmd != nil {
		n.cancel()
		_ = n.cmd.Wait() // its end is not what is reported
		n.cmd = nil
	}
	return n.log.String()
}
